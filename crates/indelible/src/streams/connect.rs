//! Connections: TCP to an address that the guard has checked, TLS under the host's name. The certificate is always verified, no session is
//! resumed (that would go past it), and no proxy is asked, whatever the environment names.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::guard::{Checked, Guard};
use crate::cli::CA_FILES;
use indelible_engine::stream::host::Host;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A connection: name, TCP and TLS.
    pub(super) connect: Duration,
    /// A whole request, its connection and its answer included.
    pub(super) whole: Duration,
    /// A connection without use.
    pub(super) idle: Duration,
    /// What is known of a host's addresses, after which it is looked up again.
    pub(super) recheck: Duration,
    /// How long it is looked, at least, whether a receiver that does not answer closes.
    pub(super) settle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            whole: Duration::from_secs(15),
            idle: Duration::from_mins(1),
            recheck: Duration::from_mins(1),
            settle: Duration::from_millis(20),
        }
    }
}

/// What a connection is for: one that was opened for anything else is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Purpose {
    /// Of the stream's document.
    pub(super) version: u64,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// What a connection is for, and where it leads.
pub(super) struct Origin {
    purpose: Purpose,
    checked: Checked,
    checked_at: Instant,
}

/// A new connection.
pub(super) struct Opened {
    pub(super) origin: Origin,
    pub(super) stream: TlsStream<TcpStream>,
    /// How long TCP took: a round trip.
    pub(super) round_trip: Duration,
}

/// Makes connections.
pub(super) struct Dialer {
    guard: Guard,
    roots: Option<Arc<RootCertStore>>,
    pub(super) patience: Patience,
}

impl Dialer {
    /// `roots`: whose certificates are believed; `None` where nothing is known of any.
    pub(super) fn new(guard: Guard, roots: Option<RootCertStore>, patience: Patience) -> Self {
        Self { guard, roots: roots.map(Arc::new), patience }
    }

    /// TLS for one protocol; `None` where nobody is believed.
    pub(super) fn tls(&self, protocols: &[&[u8]]) -> Option<TlsConnector> {
        let roots = Arc::clone(self.roots.as_ref()?);
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.resumption = rustls::client::Resumption::disabled();
        Some(TlsConnector::from(Arc::new(config)))
    }

    /// Opens a connection, trying one address after the other. The error is a sentence.
    pub(super) async fn open(&self, purpose: Purpose, tls: Option<&TlsConnector>) -> Result<Opened, String> {
        let Some(tls) = tls else {
            return Err("the server has no list of trusted certificates: it is named with --stream-ca-file".to_owned());
        };
        let connect = self.patience.connect;
        let (deadline, late) = (Instant::now() + connect, || format!("no connection to {} within {connect:?}", purpose.host));
        let found = timeout_at(deadline, self.guard.find(&purpose.host, purpose.port)).await.map_err(|_| late())??;
        let checked_at = Instant::now();
        let mut failed = late();
        for (tries, checked) in (1_u32..=u32::try_from(found.len()).unwrap_or(1)).rev().zip(found) {
            // Each address has its share, so that one that says nothing leaves time for the next.
            let share = deadline.saturating_duration_since(Instant::now()) / tries;
            match timeout(share, reach(checked, &purpose, tls)).await {
                Ok(Ok((stream, round_trip))) => {
                    return Ok(Opened { origin: Origin { purpose, checked, checked_at }, stream, round_trip });
                }
                Ok(Err(error)) => failed = error,
                Err(_) => failed = late(),
            }
        }
        Err(failed)
    }

    /// Whether a connection that was kept may be used: it is for the same, and its address is still one of the host's, which is looked up
    /// again after a while. The error is the guard's: the host leads now where it may not.
    pub(super) async fn still_leads(&self, origin: &mut Origin, purpose: &Purpose) -> Result<bool, String> {
        if origin.purpose != *purpose {
            return Ok(false);
        }
        if origin.checked_at.elapsed() < self.patience.recheck {
            return Ok(true);
        }
        let late = |_| format!("the host {} was not found within {:?}", purpose.host, self.patience.connect);
        let found = timeout(self.patience.connect, self.guard.find(&purpose.host, purpose.port)).await.map_err(late)??;
        origin.checked_at = Instant::now();
        Ok(found.contains(&origin.checked))
    }
}

/// Connects to one address.
pub(super) async fn reach(checked: Checked, purpose: &Purpose, tls: &TlsConnector) -> Result<(TlsStream<TcpStream>, Duration), String> {
    let Purpose { host, port, .. } = purpose;
    let begun = Instant::now();
    let stream = TcpStream::connect(checked.address()).await.map_err(|error| format!("no connection to {host}:{port}: {error}"))?;
    let round_trip = begun.elapsed();
    let own = stream.local_addr().map_err(|error| format!("no connection to {host}:{port}: {error}"))?;
    checked.allows(own)?;
    let _ = stream.set_nodelay(true);
    let name = match host {
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| format!("{host} is not a name that a certificate can have"))?,
        Host::Address(address) => ServerName::from(*address),
    };
    let stream = tls.connect(name, stream).await.map_err(|error| format!("no TLS with {host}:{port}: {error}"))?;
    Ok((stream, round_trip))
}

/// Whose certificates are believed: those of the file, else the system's. `None` where there are none of the system's, which is told again
/// to whoever needs them.
pub(super) fn trusted(ca_file: Option<&Path>) -> anyhow::Result<Option<RootCertStore>> {
    if let Some(file) = ca_file {
        return authorities(file).map(Some);
    }
    let Some(file) = CA_FILES.iter().map(Path::new).find(|file| file.is_file()) else { return Ok(None) };
    let read = authorities(file);
    Ok(read.inspect_err(|error| tracing::warn!(target: "indelible::streams", "no stream goes over TLS: {error:#}")).ok())
}

fn authorities(file: &Path) -> anyhow::Result<RootCertStore> {
    let certificates: Vec<CertificateDer<'_>> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificates in {}", file.display()))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        bail!("{} holds no certificate of an authority", file.display());
    }
    Ok(roots)
}
