//! Connecting: with TLS where the address wants it, and only to a server on which COMMIT means what it says.

use std::future::poll_fn;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Database, told};

/// What is done when a notification comes. It must not wait.
pub(crate) type OnHint = Box<dyn Fn() + Send>;

/// What the server warned of last, until somebody takes it.
pub(super) type Warned = Arc<Mutex<Option<String>>>;

/// A connection that is served by the runtime of whoever waits here. An error is told in words.
pub(crate) async fn connect(database: &Database) -> Result<Client, String> {
    connect_hinted(database, Box::new(|| ()), Warned::default()).await
}

/// The same, whose notifications and warnings are told of.
pub(super) async fn connect_hinted(database: &Database, on_hint: OnHint, warned: Warned) -> Result<Client, String> {
    let failed = |error: tokio_postgres::Error| told(&error);
    let roots = match database.config.get_ssl_mode() {
        // A hundred authorities and more are read for nothing otherwise, at each connection.
        SslMode::Disable => RootCertStore::empty(),
        _ => trusted(database.root_certificates.as_deref()).map_err(|error| error.to_string())?,
    };
    let tls = MakeRustlsConnect::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let (client, mut connection) = database.config.connect(tls).await.map_err(failed)?;
    // It ends with the client, and what breaks it is told to whoever asks next.
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                AsyncMessage::Notification(_) => on_hint(),
                // Before what was asked is answered, since it comes before that.
                AsyncMessage::Notice(notice) if notice.parsed_severity() == Some(Severity::Warning) => {
                    *warned.lock().unwrap_or_else(PoisonError::into_inner) = Some(notice.message().to_owned());
                }
                _ => {}
            }
        }
    });
    let durable = client.query_one("SELECT current_setting('fsync') = 'on'", &[]).await.map_err(failed)?;
    if !durable.get::<_, bool>(0) {
        return Err("it runs with fsync=off, so nothing that it keeps is durable".to_owned());
    }
    Ok(client)
}

/// Where Linux distributions keep the authorities that they trust.
const SYSTEM_ROOTS: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"];

/// The authorities of the file that is named, else the system's; none where there are none.
fn trusted(named: Option<&Path>) -> std::io::Result<RootCertStore> {
    let file = named.or_else(|| SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists()));
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        roots.add_parsable_certificates(read.map_err(|error| std::io::Error::other(format!("{}: {error}", file.display())))?);
    }
    Ok(roots)
}
