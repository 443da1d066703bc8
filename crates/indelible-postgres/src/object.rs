//! `object!`: a member of an event that is an object, from one table of its members: the struct, its setters, its JSON, and the names that
//! the tests hold against those of the ledger. What is not set is not in the JSON. No `Debug` tells a value, for nothing of an event is
//! redacted yet where it is made.
//!
//! `needs` are arguments of `new`, `takes` have a setter each, and the setters of `own` are written by hand beside the table.

macro_rules! object {
    (
        $(#[$about:meta])*
        $name:ident, $vis:vis $new:ident;
        needs { $($(#[$needs_doc:meta])* $needs:ident $(= $needs_json:literal)? [$($needs_shape:tt)+],)* }
        takes { $($(#[$takes_doc:meta])* $takes:ident [$($takes_shape:tt)+],)* }
        own { $($own:ident [$($own_shape:tt)+],)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, serde::Serialize)]
        #[must_use]
        pub struct $name {
            $($(#[serde(rename = $needs_json)])? $needs: object!(@type [$($needs_shape)+]),)*
            $(#[serde(skip_serializing_if = "Option::is_none")] $takes: Option<object!(@type [$($takes_shape)+])>,)*
            $(#[serde(skip_serializing_if = "Option::is_none")] $own: Option<object!(@type [$($own_shape)+])>,)*
        }

        impl $name {
            /// With what it must have, and nothing else.
            $vis fn $new($($needs: impl Into<object!(@type [$($needs_shape)+])>),*) -> Self {
                Self { $($needs: $needs.into(),)* $($takes: None,)* $($own: None,)* }
            }

            $(object! { @setter $(#[$takes_doc])* $takes [$($takes_shape)+] })*

            #[cfg(test)]
            pub(crate) const MEMBERS: &'static [$crate::tests::Member] = &[
                $($crate::tests::Member { name: object!(@name $needs $($needs_json)?), needed: true, shape: object!(@shape [$($needs_shape)+]) },)*
                $($crate::tests::Member { name: stringify!($takes), needed: false, shape: object!(@shape [$($takes_shape)+]) },)*
                $($crate::tests::Member { name: stringify!($own), needed: false, shape: object!(@shape [$($own_shape)+]) },)*
            ];
        }

        object! { @default $name $($needs)* }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };

    (@default $name:ident) => {
        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
    };
    (@default $name:ident $($needs:ident)+) => {};

    (@name $member:ident) => { stringify!($member) };
    (@name $member:ident $json:literal) => { $json };

    (@type [text]) => { String };
    (@type [texts]) => { Vec<String> };
    (@type [uuid]) => { uuid::Uuid };
    (@type [time]) => { String };
    (@type [count]) => { u64 };
    (@type [bool]) => { bool };
    (@type [json]) => { serde_json::Value };
    (@type [items]) => { Vec<serde_json::Value> };
    (@type [labels]) => { std::collections::BTreeMap<String, String> };
    (@type [headers]) => { std::collections::BTreeMap<String, Vec<String>> };
    (@type [choice $of:ident]) => { $of };
    (@type [object $of:ident]) => { $of };
    (@type [objects $of:ident]) => { Vec<$of> };

    (@shape [uuid]) => { $crate::tests::Shape::Uuid };
    (@shape [time]) => { $crate::tests::Shape::Time };
    (@shape [count]) => { $crate::tests::Shape::Integer };
    (@shape [bool]) => { $crate::tests::Shape::Bool };
    (@shape [text]) => { $crate::tests::Shape::Text };
    (@shape [texts]) => { $crate::tests::Shape::Texts };
    (@shape [labels]) => { $crate::tests::Shape::Labels };
    (@shape [choice $of:ident]) => { $crate::tests::Shape::Choice($of::WORDS) };
    (@shape [object $of:ident]) => { $crate::tests::Shape::Object($of::MEMBERS) };
    (@shape [objects $of:ident]) => { $crate::tests::Shape::Objects($of::MEMBERS) };
    (@shape $other:tt) => { $crate::tests::Shape::Content };

    (@setter $(#[$doc:meta])* $member:ident [texts]) => {
        $(#[$doc])*
        pub fn $member<T: Into<String>>(mut self, $member: impl IntoIterator<Item = T>) -> Self {
            self.$member = Some($member.into_iter().map(Into::into).collect());
            self
        }
    };
    (@setter $(#[$doc:meta])* $member:ident [items]) => {
        $(#[$doc])*
        pub fn $member(mut self, $member: impl IntoIterator<Item = serde_json::Value>) -> Self {
            self.$member = Some($member.into_iter().collect());
            self
        }
    };
    (@setter $(#[$doc:meta])* $member:ident [text]) => {
        object! { @into $(#[$doc])* $member String }
    };
    (@setter $(#[$doc:meta])* $member:ident [json]) => {
        object! { @into $(#[$doc])* $member serde_json::Value }
    };
    (@setter $(#[$doc:meta])* $member:ident $shape:tt) => {
        $(#[$doc])*
        pub fn $member(mut self, $member: object!(@type $shape)) -> Self {
            self.$member = Some($member);
            self
        }
    };
    (@into $(#[$doc:meta])* $member:ident $type:ty) => {
        $(#[$doc])*
        pub fn $member(mut self, $member: impl Into<$type>) -> Self {
            self.$member = Some($member.into());
            self
        }
    };
}

pub(crate) use object;
