//! The members of an event that are one of a few words.

use serde::Serialize;

macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Its word in JSON.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            #[cfg(test)]
            pub(crate) const WORDS: &'static [&'static str] = &[$($word),*];
        }
    };
}

choice! {
    /// Sort of actor.
    ActorType {
        /// A person.
        Human = "human",
        /// An account of a program.
        ServiceAccount = "service_account",
        /// An agent, that is, a program that decides by itself.
        Agent = "agent",
        /// The system itself.
        System = "system",
        /// Nobody known.
        Anonymous = "anonymous",
    }
}

choice! {
    /// Sort of principal.
    PrincipalType {
        /// A user.
        User = "user",
        /// A group.
        Group = "group",
        /// The system itself.
        System = "system",
        /// An agent.
        Agent = "agent",
    }
}

choice! {
    /// How it ended.
    Outcome {
        /// It was allowed, and done.
        Allow = "allow",
        /// It was denied.
        Deny = "deny",
        /// It failed.
        Error = "error",
        /// A part of it was done.
        Partial = "partial",
    }
}

choice! {
    /// How it ended, more finely.
    OutcomeDetail {
        /// It was done.
        Success = "success",
        /// A policy denied it.
        PolicyDenial = "policy_denial",
        /// A provider failed.
        ProviderError = "provider_error",
        /// The network failed.
        NetworkError = "network_error",
        /// It took too long.
        Timeout = "timeout",
        /// There was nothing to do.
        NoOp = "no_op",
        /// It was left out.
        Skipped = "skipped",
    }
}

choice! {
    /// Before or after the effect.
    Phase {
        /// Before: it is about to be tried.
        Intent = "intent",
        /// After: how it ended.
        Outcome = "outcome",
    }
}

choice! {
    /// The way on which a user or group was provisioned.
    ProvisioningPath {
        /// A webhook of the identity provider.
        IdpWebhook = "idp_webhook",
        /// A run of directory synchronisation.
        DirectorySync = "directory_sync",
        /// SCIM.
        Scim = "scim",
        /// The first sign-in.
        FirstSignIn = "first_sign_in",
    }
}
