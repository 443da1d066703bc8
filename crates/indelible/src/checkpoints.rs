//! Where the checkpoint store is: outside of the data folder, so that an older copy put in its place is seen. A folder, by default in
//! the user's state folder, a PostgreSQL database, or a place in an object store.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use indelible_engine::anchor::CheckpointStore;

/// The option that names it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Checkpoints {
    /// The checkpoint store, outside of the data folder and of its backup: a folder, by default `indelible` in the user's state
    /// folder ($XDG_STATE_HOME, or ~/.local/state); or postgres://USER@HOST/DATABASE, with the password in PGPASSWORD; or
    /// s3://BUCKET/PREFIX, with region, endpoint and credentials in the variables AWS_…
    #[arg(long = "checkpoints", value_name = "DIR|postgres://…|s3://…", env = "INDELIBLE_CHECKPOINTS")]
    named: Option<OsString>,
}

impl Checkpoints {
    /// The store for a data folder.
    pub fn store(&self, data: &Path) -> anyhow::Result<CheckpointStore> {
        let store = match &self.named {
            Some(named) => CheckpointStore::parse(named, settings())?,
            None => CheckpointStore::Folder(
                state_folder(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
                    .context("neither XDG_STATE_HOME nor HOME is set: name a folder for the checkpoint store with --checkpoints")?,
            ),
        };
        if let Some(folder) = store.folder()
            && place(folder)?.starts_with(place(data)?)
        {
            bail!(
                "the checkpoint store {} lies in the data folder: put back with it, it could not tell that anything is missing",
                folder.display()
            );
        }
        Ok(store)
    }
}

/// Where a path leads, whatever links are on the way, as far as it is there; what is not there is no link.
pub(crate) fn place(path: &Path) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
    let there = absolute.ancestors().find_map(|beginning| Some((beginning, beginning.canonicalize().ok()?)));
    let (beginning, mut place) = there.with_context(|| format!("nothing of {} can be looked at", path.display()))?;
    let rest = absolute.strip_prefix(beginning).unwrap_or(Path::new(""));
    let mut goes_back = false;
    for part in rest.components() {
        if part == Component::ParentDir {
            goes_back = true;
            place.pop();
        } else {
            place.push(part);
        }
    }
    // After a way back there may be a link again.
    if goes_back { self::place(&place) } else { Ok(place) }
}

/// What says where a bucket is, and who asks there or of a database.
fn settings() -> Vec<(String, String)> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.filter(|(name, _)| name.starts_with("AWS_") || matches!(name.as_str(), "PGPASSWORD" | "PGSSLROOTCERT")).collect()
}

/// XDG Base Directory Specification: a relative path counts as none.
fn state_folder(state_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |value: Option<OsString>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(state_home).or_else(|| absolute(home).map(|home| home.join(".local/state"))).map(|state| state.join("indelible"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_state_folder_is_the_default() {
        let cases: &[(Option<&str>, Option<&str>, Option<&str>)] = &[
            (Some("/state"), Some("/home/a"), Some("/state/indelible")),
            (Some("relative"), Some("/home/a"), Some("/home/a/.local/state/indelible")),
            (None, Some("/home/a"), Some("/home/a/.local/state/indelible")),
            (None, None, None),
        ];
        for (state, home, expected) in cases {
            assert_eq!(
                state_folder(state.map(OsString::from), home.map(OsString::from)),
                expected.map(PathBuf::from),
                "{state:?} {home:?}"
            );
        }
    }

    fn store(named: &str, data: &str) -> anyhow::Result<CheckpointStore> {
        Checkpoints { named: Some(named.into()) }.store(Path::new(data))
    }

    #[test]
    fn it_does_not_lie_in_the_data_folder() {
        assert!(store("/data/checkpoints", "/data").is_err());
        assert!(store("data", "./data").is_err());
        assert_eq!(store("/data-checkpoints", "/data").expect("beside"), CheckpointStore::from("/data-checkpoints"));
    }

    #[test]
    fn nor_does_a_link_or_a_way_back_lead_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, data) = (folder.path(), folder.path().join("data"));
        std::fs::create_dir_all(data.join("inside")).expect("folders");
        std::fs::create_dir(root.join("x")).expect("a folder");
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, root.join(name)).expect("a link");
        link(&data, "to-data");
        link(&data.join("inside"), "into-data");
        link(root, "to-root");
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        for named in [
            "to-data",
            "to-data/not/yet",
            "into-data",
            "into-data/checkpoints",
            "x/../data/checkpoints",
            "to-root/data",
            "not-yet/../data/checkpoints",
            "not-yet/../to-data/checkpoints",
        ] {
            assert!(store(&text(&root.join(named)), &text(&data)).is_err(), "{named}");
            // Whichever of the two is named by way of a link.
            assert!(store(&text(&root.join(named)), &text(&root.join("to-data"))).is_err(), "{named}");
        }
        for named in ["to-root/checkpoints", "x/../checkpoints", "into-data/../../checkpoints", "checkpoints/not/yet"] {
            assert!(store(&text(&root.join(named)), &text(&data)).is_ok(), "{named}");
        }
    }

    #[test]
    fn an_address_is_no_folder() {
        let refused = store("mysql://host/log", "/data").expect_err("not known").to_string();
        assert!(refused.contains("s3://bucket/prefix"), "{refused}");
        assert!(store("postgres://log@host/log", "/data").expect("a database").folder().is_none());
        match store("s3://bucket/prefix", "/data") {
            Ok(store) => assert!(cfg!(feature = "aws") && store.folder().is_none(), "{store}"),
            Err(error) => assert!(!cfg!(feature = "aws") && error.to_string().contains("`aws`"), "{error}"),
        }
    }
}
