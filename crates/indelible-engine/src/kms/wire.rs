//! One request to KMS and its answer: SigV4, time limits, a bound on the answer, and a second try where KMS itself asks for one.
//!
//! Tried again are throttling and errors of KMS itself (5xx) alone; all four operations may be done twice. Credentials come from
//! where AWS's own tools find them: environment, web identity, container, instance. What is read off the wire is never
//! more than [`ANSWER_BYTES_MAX`].

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, header};
use http_body_util::{BodyExt as _, Limited};
use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequest, ReqwestConnector};
use object_store::{ClientOptions, RetryConfig};

use super::answer::refusal;
use super::endpoint::Endpoint;
use super::refusal::is_passing;
use super::{KeyArn, KmsError};

/// An answer is never longer, bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for one try, its answer included.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is not kept for longer than KMS keeps it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for credentials.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(8);
/// Before each further try.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_600)];

/// One operation to be asked for.
pub(super) struct Ask {
    pub(super) operation: &'static str,
    pub(super) key: KeyArn,
    /// JSON.
    pub(super) body: Vec<u8>,
}

impl Ask {
    pub(super) fn unreachable(&self, reason: impl Into<String>) -> KmsError {
        KmsError::Unreachable { key: self.key.clone(), reason: reason.into() }
    }
}

/// How KMS is reached.
pub(super) struct Wire {
    http: HttpClient,
    credentials: AwsCredentialProvider,
    endpoint: Option<Endpoint>,
}

/// No answer, and whether to try again.
struct Failed {
    error: KmsError,
    is_passing: bool,
}

impl From<KmsError> for Failed {
    fn from(error: KmsError) -> Self {
        Self { error, is_passing: false }
    }
}

fn setup(error: &dyn std::error::Error) -> KmsError {
    KmsError::Setup(whole(error))
}

/// An error with what caused it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

impl Wire {
    /// As the environment says.
    pub(super) fn from_environment(region: &str) -> Result<Self, KmsError> {
        let endpoint = Endpoint::set(|name| std::env::var(name).ok())?;
        // The one way to that crate's chain of credentials is through a bucket, which nobody asks for.
        let retry = RetryConfig { max_retries: 2, retry_timeout: CREDENTIALS_TIMEOUT, ..RetryConfig::default() };
        let store = AmazonS3Builder::from_env().with_bucket_name("unused").with_region(region).with_retry(retry).build();
        let credentials = Arc::clone(store.map_err(|error| setup(&error))?.credentials());
        Self::new(endpoint, credentials)
    }

    pub(super) fn new(endpoint: Option<Endpoint>, credentials: AwsCredentialProvider) -> Result<Self, KmsError> {
        let is_loopback = endpoint.as_ref().is_some_and(|endpoint| endpoint.is_loopback);
        let mut options = ClientOptions::new()
            .with_allow_http(is_loopback)
            .with_http1_only()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(TRY_TIMEOUT)
            .with_pool_idle_timeout(IDLE_TIMEOUT);
        if is_loopback {
            // Past any proxy of the environment: one that is named and never used takes its place.
            options = options.with_proxy_url("http://127.0.0.1:9").with_proxy_excludes("127.0.0.0/8,localhost,::1");
        }
        let http = ReqwestConnector::default().connect(&options).map_err(|error| setup(&error))?;
        Ok(Self { http, credentials, endpoint })
    }

    /// The answer to a request; tried again where that may help.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Vec<u8>, KmsError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let failed = match self.try_once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            match pauses.next().filter(|_| failed.is_passing) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(failed.error),
            }
        }
    }

    async fn try_once(&self, ask: &Ask) -> Result<Vec<u8>, Failed> {
        let request = self.request(ask).await?;
        let sent = tokio::time::timeout(TRY_TIMEOUT, async {
            let answer = self.http.execute(request).await.map_err(|error| ask.unreachable(whole(&error)))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    let what = "it is longer than 64 KiB";
                    KmsError::Answer { operation: ask.operation, key: ask.key.clone(), what }
                } else {
                    ask.unreachable(whole(error.as_ref()))
                }
            })?;
            Ok::<_, KmsError>((status, body.to_bytes()))
        });
        let sent = sent.await.map_err(|_| ask.unreachable(format!("no answer within {} s", TRY_TIMEOUT.as_secs())))?;
        let (status, body) = sent?;
        if status.as_u16() == 200 {
            return Ok(body.to_vec());
        }
        let (kind, message) = refusal(&body, status.as_u16());
        let is_passing = status.is_server_error() || status.as_u16() == 429 || is_passing(&kind);
        Err(Failed { error: KmsError::Refused { operation: ask.operation, key: ask.key.clone(), kind, message }, is_passing })
    }

    /// Signed, for the region of the key.
    async fn request(&self, ask: &Ask) -> Result<HttpRequest, KmsError> {
        let uri = self.endpoint.as_ref().map_or_else(|| Endpoint::of(&ask.key), |endpoint| Ok(endpoint.uri.clone()))?;
        let credential = tokio::time::timeout(CREDENTIALS_TIMEOUT, self.credentials.get_credential()).await;
        let credential = credential
            .map_err(|_| KmsError::Setup("no credentials came in time: see that this process has some of AWS".to_owned()))?
            .map_err(|error| KmsError::Setup(format!("no credentials: {}; see that this process has some of AWS", whole(&error))))?;
        let mut request = HttpRequest::new(ask.body.clone().into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let target = HeaderValue::try_from(format!("TrentService.{}", ask.operation)).map_err(|error| setup(&error))?;
        request.headers_mut().insert("x-amz-target", target);
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        let authorizer = AwsAuthorizer::new(&credential, "kms", ask.key.region());
        authorizer.try_authorize(&mut request, None).map_err(|error| setup(&error))?;
        Ok(request)
    }
}
