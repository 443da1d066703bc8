//! Parameters of statements: integers, texts, byte strings, or nothing.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use uuid::Uuid;

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Param<'p> {
    /// NULL
    Null,
    /// INTEGER, `bigint`
    Integer(i64),
    /// TEXT, `text`
    Text(&'p str),
    /// BLOB, `bytea` or `uuid`
    Blob(&'p [u8]),
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(n) => ValueRef::Integer(*n),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What can be a parameter.
pub(crate) trait AsParam {
    /// As one.
    fn param(&self) -> Param<'_>;
}

macro_rules! integers {
    ($($integer:ty),*) => {
        $(impl AsParam for $integer {
            fn param(&self) -> Param<'_> {
                Param::Integer(i64::from(*self))
            }
        })*
    };
}

integers!(i64, u32, i32, u8, bool);

impl AsParam for str {
    fn param(&self) -> Param<'_> {
        Param::Text(self)
    }
}

impl AsParam for String {
    fn param(&self) -> Param<'_> {
        Param::Text(self)
    }
}

impl AsParam for [u8] {
    fn param(&self) -> Param<'_> {
        Param::Blob(self)
    }
}

impl AsParam for Vec<u8> {
    fn param(&self) -> Param<'_> {
        Param::Blob(self)
    }
}

impl<const N: usize> AsParam for [u8; N] {
    fn param(&self) -> Param<'_> {
        Param::Blob(self)
    }
}

impl AsParam for Uuid {
    fn param(&self) -> Param<'_> {
        Param::Blob(self.as_bytes())
    }
}

impl<T: AsParam> AsParam for Option<T> {
    fn param(&self) -> Param<'_> {
        self.as_ref().map_or(Param::Null, AsParam::param)
    }
}

impl<T: AsParam + ?Sized> AsParam for &T {
    fn param(&self) -> Param<'_> {
        (**self).param()
    }
}

impl AsParam for Param<'_> {
    fn param(&self) -> Param<'_> {
        *self
    }
}

/// The parameters of a statement.
pub(crate) trait Params {
    /// One after the other.
    fn list(&self) -> Vec<Param<'_>>;
}

/// None.
impl Params for [(); 0] {
    fn list(&self) -> Vec<Param<'_>> {
        Vec::new()
    }
}

impl Params for &[Param<'_>] {
    fn list(&self) -> Vec<Param<'_>> {
        self.to_vec()
    }
}

macro_rules! arrays {
    ($($length:literal),*) => {
        $(impl<T: AsParam> Params for [T; $length] {
            fn list(&self) -> Vec<Param<'_>> {
                self.iter().map(AsParam::param).collect()
            }
        })*
    };
}

arrays!(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);

macro_rules! tuples {
    ($($letter:ident $at:tt),+) => {
        impl<$($letter: AsParam),+> Params for ($($letter,)+) {
            fn list(&self) -> Vec<Param<'_>> {
                vec![$(self.$at.param()),+]
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);

/// Parameters of more than one type, more of them than a tuple has.
macro_rules! params {
    ($($param:expr),* $(,)?) => {
        &[$($crate::store::sql::AsParam::param(&$param)),*][..]
    };
}
pub(crate) use params;
