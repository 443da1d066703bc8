//! The objects of one instance in a bucket, by number: listed, read, and made where there is none. Nothing here overwrites or deletes.
//!
//! Whatever the environment says, an object is only made under the condition that there is none (`If-None-Match: *`), with a checksum, as
//! a bucket with Object Lock asks for; certificates are verified; and plain HTTP is spoken to loopback addresses alone.

use std::fmt::Display;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::client::ClientConfigKey;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{BackoffConfig, Error, GetOptions, ObjectStore, PutMode, PutOptions, PutPayload, RetryConfig};

use super::address::Bucket;
use super::{CheckpointsError, escaped, segment};

/// One request, to its last byte.
const REQUEST_WAIT: &str = "10 seconds";
/// Until a connection is there.
const CONNECT_WAIT: &str = "3 seconds";
/// Connections are not used again after that: a server may have closed them meanwhile.
const IDLE_WAIT: &str = "4 seconds";
/// A segment, bytes: every tree of an instance with half a million of them.
const SEGMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What is repeated of an error, characters: it may quote a whole answer.
const REASON_MAX: usize = 400;

/// How a request that a server could not answer is tried again: 5xx, and connections that did not come to be.
fn retries() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 };
    RetryConfig { backoff, max_retries: 4, retry_timeout: Duration::from_secs(10) }
}

/// What became of an object that was to be made.
#[derive(Debug)]
pub(super) enum Making {
    /// It is there, durably, and we made it.
    Made,
    /// There is one of that number: somebody else's, or ours by a request whose answer was lost.
    Exists,
    /// It is not known.
    Unknown(CheckpointsError),
}

/// The objects of an instance.
#[derive(Clone)]
pub(super) struct Objects {
    client: AmazonS3,
    /// Before each name.
    folder: String,
    /// For messages.
    address: String,
}

impl Objects {
    /// Asks nobody yet.
    pub(super) fn new(bucket: &Bucket, instance: &str) -> Result<Self, CheckpointsError> {
        let prefix = if bucket.prefix.is_empty() { String::new() } else { format!("{}/", bucket.prefix) };
        let folder = format!("{prefix}{}/", escaped(instance));
        let address = format!("s3://{}/{folder}", bucket.name);
        let client = client(bucket).map_err(|why| CheckpointsError::Unusable(address.clone(), why))?;
        Ok(Self { client, folder, address })
    }

    fn path(&self, number: u64) -> Result<Path, CheckpointsError> {
        Path::parse(format!("{}{}", self.folder, segment::name(number))).map_err(|error| self.unusable(&error))
    }

    pub(super) fn unusable(&self, why: &dyn Display) -> CheckpointsError {
        let mut why = why.to_string();
        if let Some((end, _)) = why.char_indices().nth(REASON_MAX) {
            why.truncate(end);
            why.push('…');
        }
        CheckpointsError::Unusable(self.address.clone(), why)
    }

    /// The highest number; `None` where there is no object.
    pub(super) async fn newest(&self) -> Result<Option<u64>, CheckpointsError> {
        let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        let listed = self.client.list_paginated(Some(&self.folder), options).await.map_err(|error| self.unusable(&error))?;
        let Some(first) = listed.result.objects.first() else { return Ok(None) };
        let name = first.location.filename().unwrap_or_default();
        let number = segment::number(name).filter(|number| self.path(*number).is_ok_and(|path| path == first.location));
        let strange =
            || self.unusable(&format!("{} is no object of a checkpoint store: give the store a prefix of its own", first.location));
        number.map(Some).ok_or_else(strange)
    }

    /// The object of a number; `None` where there is none.
    pub(super) async fn get(&self, number: u64) -> Result<Option<Vec<u8>>, CheckpointsError> {
        self.get_unless(number, |error| matches!(error, Error::NotFound { .. })).await
    }

    /// The object of a number that most often is not there. Who may list only under a prefix is answered 403 for it and not 404, so
    /// that counts as absence too; nothing is believed for it, since the object after the newest is made under a condition.
    pub(super) async fn get_next(&self, number: u64) -> Result<Option<Vec<u8>>, CheckpointsError> {
        self.get_unless(number, |error| matches!(error, Error::NotFound { .. } | Error::PermissionDenied { .. })).await
    }

    async fn get_unless(&self, number: u64, is_absent: impl Fn(&Error) -> bool) -> Result<Option<Vec<u8>>, CheckpointsError> {
        let found = match self.client.get_opts(&self.path(number)?, GetOptions::default()).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.unusable(&error)),
        };
        if found.meta.size > SEGMENT_BYTES_MAX {
            return Err(self.unusable(&format!("segment {number} has {} bytes, more than any", found.meta.size)));
        }
        let bytes = found.bytes().await.map_err(|error| self.unusable(&error))?;
        Ok(Some(bytes.into()))
    }

    /// Makes the object of a number, where there is none.
    pub(super) async fn make(&self, number: u64, bytes: Vec<u8>) -> Making {
        let path = match self.path(number) {
            Ok(path) => path,
            Err(error) => return Making::Unknown(error),
        };
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.client.put_opts(&path, PutPayload::from(bytes), options).await {
            Ok(_) => Making::Made,
            Err(Error::AlreadyExists { .. }) => Making::Exists,
            Err(error) => Making::Unknown(self.unusable(&error)),
        }
    }
}

/// The client of a bucket, with what its settings say and what they may not.
fn client(bucket: &Bucket) -> Result<AmazonS3, String> {
    let option = |key| AmazonS3ConfigKey::Client(key);
    let mut builder = AmazonS3Builder::new()
        .with_config(option(ClientConfigKey::Timeout), REQUEST_WAIT)
        .with_config(option(ClientConfigKey::ConnectTimeout), CONNECT_WAIT)
        .with_config(option(ClientConfigKey::PoolIdleTimeout), IDLE_WAIT);
    for (name, value) in &bucket.settings {
        if let Ok(key) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    // The one of S3 is taken over the one of all services.
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::S3Endpoint);
    let endpoint = endpoint.or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    let is_plain = endpoint.as_deref().is_some_and(|endpoint| !endpoint.starts_with("https://"));
    if let Some(endpoint) = endpoint.filter(|_| is_plain)
        && !is_loopback(&endpoint)
    {
        return Err(format!("the endpoint {endpoint} is neither https:// nor on a loopback address: checkpoints go over TLS"));
    }
    if is_plain {
        // A proxy that the environment names is not for this machine itself. One that is named here takes its place, for nobody.
        builder = builder.with_proxy_url("http://127.0.0.1").with_proxy_excludes("127.0.0.0/8,::1,localhost");
    }
    let client = builder
        .with_bucket_name(&bucket.name)
        .with_config(option(ClientConfigKey::AllowHttp), is_plain.to_string())
        .with_config(option(ClientConfigKey::AllowInvalidCertificates), "false")
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_retry(retries())
        .build();
    client.map_err(|error| error.to_string())
}

/// Whether a plain endpoint is on this machine.
fn is_loopback(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host =
        authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(authority, |(host, _)| host);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(settings: &[(&str, &str)]) -> Bucket {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let settings = settings.iter().chain(&keys).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Bucket { name: "bucket".to_owned(), prefix: String::new(), settings, wait_max: Bucket::WAIT_MAX }
    }

    #[test]
    fn plain_http_is_spoken_on_this_machine_alone() {
        let cases = [
            ("http://127.0.0.1:9000", true),
            ("http://127.8.8.8", true),
            ("http://localhost:9000/", true),
            ("http://[::1]:9000", true),
            ("https://objects.example", true),
            ("http://objects.example", false),
            ("http://localhost.example:9000", false),
            ("http://127.0.0.1.example", false),
            ("http://127.0.0.1@objects.example", false),
            ("http://user@127.0.0.1:9000", false),
            ("http://192.0.2.1:9000", false),
            ("objects.example", false),
            ("ftp://127.0.0.1", false),
        ];
        for (endpoint, allowed) in cases {
            for name in ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
                let built = client(&bucket(&[(name, endpoint), ("AWS_ALLOW_HTTP", "true")]));
                assert_eq!(built.is_ok(), allowed, "{name} {endpoint}: {:?}", built.err());
            }
        }
    }

    #[test]
    fn the_endpoint_of_s3_is_taken_over_that_of_all_services() {
        let both = |own: &str, all: &str| client(&bucket(&[("AWS_ENDPOINT_URL_S3", own), ("AWS_ENDPOINT_URL", all)])).is_ok();
        assert!(both("http://127.0.0.1", "http://objects.example"));
        assert!(!both("http://objects.example", "http://127.0.0.1"));
    }

    #[test]
    fn the_condition_is_not_for_the_environment_to_turn_off() {
        // `disabled` would make every swap an error at least, never an overwriting.
        assert!(client(&bucket(&[("AWS_CONDITIONAL_PUT", "disabled"), ("AWS_REGION", "eu-west-1")])).is_ok());
        assert!(client(&bucket(&[("AWS_CONDITIONAL_PUT", "nonsense")])).is_ok());
    }
}
