//! What the database refuses, by SQLSTATE. Invariant: a refusal names places and rules, never a value of the event.

/// What is wrong with an event, or with who hands it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// `IN001`: the event breaks a rule: a wrong shape, a member that is missing.
    Invalid,
    /// `IN002`: a member that the server alone sets. No [`Event`](crate::Event) has one.
    ServerMember,
    /// `IN003`: an action that the engine alone writes, or a noun of it.
    EngineAction,
    /// `IN004`: larger than a limit.
    TooLarge,
    /// `IN005`: the role that logged in is bound to no project.
    Unbound,
    /// `IN006`: the event cannot be encrypted: pgcrypto is not there, or the organization has no key.
    Unsealable,
    /// `IN007`: of row capture: a table cannot be watched so, or a row of it cannot be recorded safely.
    Unwatchable,
    /// Another SQLSTATE of class `IN`, of a later version of Indelible.
    Other,
}

impl RefusalKind {
    /// Of class `IN`; of any other class there is none.
    pub fn from_sqlstate(code: &str) -> Option<Self> {
        Some(match code.strip_prefix("IN")? {
            "001" => Self::Invalid,
            "002" => Self::ServerMember,
            "003" => Self::EngineAction,
            "004" => Self::TooLarge,
            "005" => Self::Unbound,
            "006" => Self::Unsealable,
            "007" => Self::Unwatchable,
            _ => Self::Other,
        })
    }
}

/// Why the database refused. The transaction has failed: it can only be rolled back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", place(pointer))]
pub struct Refusal {
    /// What is wrong, for a program.
    pub kind: RefusalKind,
    /// Where in the event: a JSON Pointer (RFC 6901), empty for the event as a whole.
    pub pointer: String,
    /// What is wrong, in words.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" (at {pointer})") }
}

/// Why an event is not recorded. `D` is the driver's error.
///
/// Errors of the application's own statements become one by `?`: row capture refuses there.
#[derive(Debug, thiserror::Error)]
pub enum Error<D> {
    /// It is refused.
    #[error("refused: {0}")]
    Refused(#[source] Refusal),
    /// Another error of the database, or of the connection to it.
    #[error(transparent)]
    Database(D),
}

impl<D> Error<D> {
    /// The refusal, where it is one.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Database(_) => None,
        }
    }

    /// A refusal, if the SQLSTATE says so; `said` gives what else the database said: message, DETAIL and HINT.
    #[cfg(any(feature = "sqlx", feature = "tokio-postgres"))]
    pub(crate) fn of_database<'e>(code: &str, said: impl FnOnce() -> (&'e str, Option<&'e str>, Option<&'e str>)) -> Option<Self> {
        let kind = RefusalKind::from_sqlstate(code)?;
        let (message, detail, hint) = said();
        Some(Self::Refused(Refusal {
            kind,
            pointer: detail.unwrap_or_default().to_owned(),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        }))
    }
}
