//! What an answer means for a delivery: taken, refused for what it is, or to be tried again.

use std::time::Duration;

use indelible_core::frame::{Destination, hec_answer, otlp_answer};

use super::transport::{Response, SendError};

/// What comes of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken.
    Taken,
    /// It will be refused however often it is sent: why.
    Refused(String),
    /// A part of it was taken, and the rest must not be sent again of itself: why.
    Partly(String),
    /// It is tried again: why, and not before so long.
    Failed(String, Option<Duration>),
    /// Nobody wants deliveries there any more.
    Gone,
}

/// Statuses of a refusal that speak of the receiver, the sender or the moment, and not of what was sent: an event must not become a dead letter
/// because a password was changed.
const OF_THE_MOMENT: [u16; 8] = [401, 403, 404, 407, 408, 421, 425, 429];

/// Judges an answer.
pub(super) fn judge(destination: Destination, answer: &Result<Response, SendError>) -> Verdict {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Verdict::Failed(error.to_string(), None),
    };
    let Some(status) = response.status else { return Verdict::Taken };
    let again = |why: String| Verdict::Failed(why, response.retry_after);
    match status {
        200..=299 => judge_body(destination, status, response),
        300..=399 => again(format!("the receiver answered {status}: redirects are not followed")),
        410 => Verdict::Gone,
        400..=499 if !OF_THE_MOMENT.contains(&status) => Verdict::Refused(format!("the receiver answered {status}")),
        _ => again(format!("the receiver answered {status}")),
    }
}

/// What came of an attempt in words that hold nothing of the answer.
pub(super) fn in_short(verdict: &Verdict, answer: &Result<Response, SendError>) -> String {
    let status = answer.as_ref().ok().and_then(|response| response.status);
    let status = status.map_or_else(|| "in words that are not kept".to_owned(), |status| status.to_string());
    let partly = if matches!(verdict, Verdict::Partly(_)) { ", and rejected some of the events" } else { "" };
    format!("the receiver answered {status}{partly}")
}

/// Of those that say more in the body.
fn judge_body(destination: Destination, status: u16, response: &Response) -> Verdict {
    match destination {
        Destination::SplunkHec => {
            let answer = hec_answer(status, &response.body);
            let why = || format!("the receiver answered {status}, and took nothing: {}", answer.message);
            if answer.is_taken { Verdict::Taken } else { Verdict::Failed(why(), response.retry_after) }
        }
        Destination::Otlp => {
            let answer = otlp_answer(status, &response.body);
            let some = || answer.rejected.map_or_else(|| "some".to_owned(), |rejected| rejected.to_string());
            let why = || format!("the receiver rejected {} events: {}", some(), answer.message);
            if answer.is_taken { Verdict::Taken } else { Verdict::Partly(why()) }
        }
        Destination::Webhook | Destination::Syslog | Destination::File => Verdict::Taken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Option<Duration> = Some(Duration::from_secs(7));

    fn said(destination: Destination, status: u16, body: &str) -> Verdict {
        judge(destination, &Ok(Response { status: Some(status), retry_after: AFTER, body: body.as_bytes().to_vec() }))
    }

    #[test]
    fn a_status_says_whether_it_is_sent_again() {
        let webhook = |status| said(Destination::Webhook, status, "");
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(webhook(status), Verdict::Taken, "{status}");
        }
        for status in [400, 402, 405, 406, 409, 411, 413, 415, 422, 451, 499] {
            assert!(matches!(webhook(status), Verdict::Refused(_)), "{status}");
        }
        for status in [100, 301, 302, 307, 401, 403, 404, 407, 408, 421, 425, 429, 500, 502, 503, 599] {
            assert!(matches!(webhook(status), Verdict::Failed(_, wait) if wait == AFTER), "{status}");
        }
        assert_eq!(webhook(410), Verdict::Gone);
        let unreached = Err(SendError("refused".to_owned()));
        assert_eq!(judge(Destination::Webhook, &unreached), Verdict::Failed("refused".to_owned(), None));
        assert_eq!(judge(Destination::File, &Ok(Response::default())), Verdict::Taken);
    }

    #[test]
    fn some_say_in_the_body_what_they_took() {
        let splunk = |body| said(Destination::SplunkHec, 200, body);
        assert_eq!(splunk(r#"{"text":"Success","code":0}"#), Verdict::Taken);
        assert!(matches!(splunk(r#"{"text":"Server is busy","code":9}"#), Verdict::Failed(..)));
        assert!(matches!(splunk("<html>a proxy</html>"), Verdict::Failed(..)));
        assert_eq!(said(Destination::Otlp, 200, "{}"), Verdict::Taken);
        let partly = said(Destination::Otlp, 200, r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}"#);
        assert_eq!(partly, Verdict::Partly("the receiver rejected 2 events: too old".to_owned()));
    }
}
