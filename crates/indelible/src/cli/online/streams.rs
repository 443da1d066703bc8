//! Streams at work, through a server.

use indelible_engine::stream::{DeliveriesAsked, DeliveryState, Replay};
use serde_json::json;
use uuid::Uuid;

use super::Online;

impl Online {
    pub(in super::super) fn stream_status(&self, id: Uuid) -> anyhow::Result<Vec<u8>> {
        self.get(&format!("/v1/audit_streams/{id}/status"), &[])
    }

    pub(in super::super) fn deliveries(&self, id: Uuid, asked: &DeliveriesAsked) -> anyhow::Result<Vec<u8>> {
        let (limit, before) = (asked.limit.map(|limit| limit.to_string()), asked.before.map(|before| before.to_string()));
        let query = [("limit", limit.as_deref()), ("before", before.as_deref()), ("state", asked.state.map(DeliveryState::as_str))];
        let query: Vec<(&str, &str)> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        self.get(&format!("/v1/audit_streams/{id}/deliveries"), &query)
    }

    pub(in super::super) fn test_stream(&self, id: Uuid) -> anyhow::Result<Vec<u8>> {
        Ok(self.ask("POST", &self.url(&format!("/v1/audit_streams/{id}/test"), &[]), None)?)
    }

    pub(in super::super) fn replay(&self, id: Uuid, replay: Replay) -> anyhow::Result<Vec<u8>> {
        let body = match replay {
            Replay::Delivery(delivery) => json!({"delivery_id": delivery.to_string()}),
            Replay::DeadLetters => json!({"dead_letters": true}),
            Replay::Range { project_id: Some(project), first, last } => {
                json!({"project_id": project.to_string(), "from_sequence": first, "to_sequence": last})
            }
            Replay::Range { project_id: None, first, last } => json!({"from_sequence": first, "to_sequence": last}),
        };
        self.post(&format!("/v1/audit_streams/{id}/replay"), &body)
    }
}
