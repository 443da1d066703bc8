//! Which of two forms a caller takes: text, unless `Accept` asks for JSON by its name (RFC 9110, section 12.5.1).

use axum::http::header::{ACCEPT, HeaderMap};

/// Whether `Accept` names `application/json`, and gives it no lesser weight than `text/plain`.
pub(super) fn takes_json(headers: &HeaderMap) -> bool {
    let (mut json, mut text) = (0.0, 0.0);
    for value in headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()) {
        for range in value.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight = weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
            match essence.as_str() {
                "application/json" => json = weight,
                "text/plain" => text = weight,
                _ => {}
            }
        }
    }
    json > 0.0 && json >= text
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_asked_for_by_its_name() {
        let cases: &[(&[&'static str], bool)] = &[
            (&[], false),
            (&["*/*"], false),
            (&["text/plain"], false),
            (&["application/json"], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&["application/json, text/plain, */*"], true),
            (&["application/json;q=0.5, text/plain"], false),
            (&["text/plain;q=0.5", "application/json"], true),
            (&["application/json;q=0"], false),
            (&["application/json;q=x"], false),
            (&["application/problem+json"], false),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(takes_json(&headers), *expected, "{values:?}");
        }
    }
}
