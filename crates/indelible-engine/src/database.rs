//! The database of a ledger that is kept in PostgreSQL: made and brought up to date, looked over for what was weakened, and roles bound
//! to projects. Everything here takes an open connection and makes none.

pub use crate::store::postgres::{bind, check, check_in, has_pgcrypto_in, install, install_in, let_in};
