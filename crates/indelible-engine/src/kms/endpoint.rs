//! Where the KMS of a region is: AWS's own endpoint, or the one that `AWS_ENDPOINT_URL_KMS` or `AWS_ENDPOINT_URL` names, as the
//! tools of AWS read them.
//!
//! Refused: plain HTTP to anything but this machine, and anything after host and port.

use http::Uri;

use super::{KeyArn, KmsError};

/// The variables, the first that is set counts.
const VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL"];

/// An endpoint that somebody set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) uri: Uri,
    /// Whether it is this machine itself, which no proxy leads to.
    pub(super) is_loopback: bool,
}

impl Endpoint {
    /// What the environment names, where it names one.
    pub(super) fn set(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, KmsError> {
        let set = VARIABLES.into_iter().find_map(|name| variable(name).filter(|url| !url.is_empty()).map(|url| (name, url)));
        let Some((name, url)) = set else { return Ok(None) };
        match Self::parse(&url) {
            Ok(endpoint) => Ok(Some(endpoint)),
            Err(why) => Err(KmsError::Setup(format!("what {name} names is no endpoint: {why}"))),
        }
    }

    fn parse(url: &str) -> Result<Self, &'static str> {
        const FORM: &str = "an endpoint is https://host, with a port where it has one";
        let uri: Uri = url.parse().map_err(|_| FORM)?;
        let host = uri.host().ok_or(FORM)?.trim_start_matches('[').trim_end_matches(']');
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || has_user {
            return Err(FORM);
        }
        let is_loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_loopback => {}
            Some("http") => return Err("plain HTTP would show what is asked to the network: use https"),
            _ => return Err(FORM),
        }
        Ok(Self { uri, is_loopback })
    }

    /// AWS's own for the region of a key.
    pub(super) fn of(key: &KeyArn) -> Result<Uri, KmsError> {
        let suffix = match key.partition() {
            "aws" | "aws-us-gov" => "amazonaws.com",
            "aws-cn" => "amazonaws.com.cn",
            other => {
                let why = format!("the endpoint of partition {other} is not known: name it with {}", VARIABLES[0]);
                return Err(KmsError::Setup(why));
            }
        };
        let url = format!("https://kms.{}.{suffix}/", key.region());
        url.parse().map_err(|_| KmsError::Setup(format!("{url} is no URL")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_this_machine_alone() {
        for (url, expected) in [
            ("https://vpce-1.kms.eu-west-1.vpce.amazonaws.com", Some(false)),
            ("https://kms.example:8443/", Some(false)),
            ("http://127.0.0.1:5000", Some(true)),
            ("http://127.8.8.8", Some(true)),
            ("http://[::1]:5000/", Some(true)),
            ("http://localhost:5000", Some(true)),
            ("http://kms.example", None),
            ("http://localhost.example", None),
            ("http://127.0.0.1.example", None),
            ("http://127.0.0.1@kms.example", None),
            ("https://user:hunter2@kms.example", None),
            ("https://kms.example/path", None),
            ("https://kms.example?a=b", None),
            ("ftp://127.0.0.1", None),
            ("kms.example", None),
            ("not a url", None),
        ] {
            let set = Endpoint::set(|name| (name == "AWS_ENDPOINT_URL").then(|| url.to_owned()));
            match (set, expected) {
                (Ok(Some(endpoint)), Some(is_loopback)) => assert_eq!(endpoint.is_loopback, is_loopback, "{url}"),
                (Err(KmsError::Setup(why)), None) => {
                    // It may hold a password.
                    assert!(why.contains("AWS_ENDPOINT_URL") && !why.contains(url), "{why}");
                }
                (other, _) => panic!("{url}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_variable_of_kms_comes_before_that_of_all_services() {
        let both = |name: &str| Some(format!("https://{}.example", name.to_ascii_lowercase().replace('_', "-")));
        let endpoint = Endpoint::set(both).expect("set").expect("one");
        assert_eq!(endpoint.uri.host(), Some("aws-endpoint-url-kms.example"));
        assert_eq!(Endpoint::set(|_| None), Ok(None));
        assert_eq!(Endpoint::set(|_| Some(String::new())), Ok(None));
    }

    #[test]
    fn a_region_has_its_endpoint() {
        for (arn, expected) in [
            ("arn:aws:kms:eu-west-1:111122223333:key/a", Some("https://kms.eu-west-1.amazonaws.com/")),
            ("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/a", Some("https://kms.us-gov-west-1.amazonaws.com/")),
            ("arn:aws-cn:kms:cn-north-1:111122223333:key/a", Some("https://kms.cn-north-1.amazonaws.com.cn/")),
            ("arn:aws-iso:kms:us-iso-east-1:111122223333:key/a", None),
        ] {
            let of = Endpoint::of(&arn.parse().expect("an ARN"));
            assert_eq!(of.ok().map(|uri| uri.to_string()).as_deref(), expected, "{arn}");
        }
    }
}
