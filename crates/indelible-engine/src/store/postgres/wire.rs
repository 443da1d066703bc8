//! Values as they go over the wire: what SQLite keeps as INTEGER, TEXT and BLOB, in PostgreSQL's binary form.

use std::error::Error;

use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use uuid::Uuid;

use crate::store::sql::{Param, SqlResult, ValueRef};

/// A value, whatever it is.
struct Raw<'r>(ValueRef<'r>);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(of: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *of {
            Type::INT8 => i64::from_sql(of, raw).map(ValueRef::Integer)?,
            Type::INT4 => ValueRef::Integer(i32::from_sql(of, raw)?.into()),
            Type::INT2 => ValueRef::Integer(i16::from_sql(of, raw)?.into()),
            Type::BOOL => ValueRef::Integer(bool::from_sql(of, raw)?.into()),
            Type::TEXT | Type::VARCHAR | Type::NAME => ValueRef::Text(raw),
            Type::BYTEA | Type::UUID => ValueRef::Blob(raw),
            _ => ValueRef::Other,
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(ValueRef::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A value of a row.
pub(crate) fn value(row: &tokio_postgres::Row, at: usize) -> SqlResult<ValueRef<'_>> {
    Ok(row.try_get::<_, Raw<'_>>(at)?.0)
}

impl ToSql for Param<'_> {
    fn to_sql(&self, to: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self, to) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Integer(n), &Type::INT8) => n.to_sql(to, out),
            (Self::Integer(n), &Type::INT4) => i32::try_from(*n)?.to_sql(to, out),
            (Self::Integer(n), &Type::BOOL) => (*n != 0).to_sql(to, out),
            (Self::Text(text), &Type::TEXT | &Type::VARCHAR | &Type::NAME) => text.to_sql(to, out),
            (Self::Text(text), &Type::UUID) => {
                out.extend_from_slice(Uuid::try_parse(text)?.as_bytes());
                Ok(IsNull::No)
            }
            (Self::Blob(bytes), &Type::BYTEA | &Type::UUID) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            (_, other) => Err(format!("a parameter is wanted as {other}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A `uuid`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes16(pub(super) [u8; 16]);

impl ToSql for Bytes16 {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }

    to_sql_checked!();
}

impl<'r> FromSql<'r> for Bytes16 {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }
}
