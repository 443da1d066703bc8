//! Where the checkpoint store lies: a folder outside of the data folder, so that an older copy put in its place is seen.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The option that names it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Checkpoints {
    /// Folder of the checkpoint store, outside of the data folder and of its backup; by default `indelible` in the user's state
    /// folder ($XDG_STATE_HOME, or ~/.local/state)
    #[arg(long = "checkpoints", value_name = "DIR", env = "INDELIBLE_CHECKPOINTS")]
    folder: Option<PathBuf>,
}

impl Checkpoints {
    /// The folder for a data folder.
    pub fn folder(&self, data: &Path) -> anyhow::Result<PathBuf> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => state_folder(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
                .context("neither XDG_STATE_HOME nor HOME is set: name a folder for the checkpoint store with --checkpoints")?,
        };
        let absolute = |path: &Path| std::path::absolute(path).with_context(|| format!("{} is no path", path.display()));
        if absolute(&folder)?.starts_with(absolute(data)?) {
            bail!(
                "the checkpoint store {} lies in the data folder: put back with it, it could not tell that anything is missing",
                folder.display()
            );
        }
        Ok(folder)
    }
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

    #[test]
    fn it_does_not_lie_in_the_data_folder() {
        let named = |folder: &str| Checkpoints { folder: Some(folder.into()) };
        assert!(named("/data/checkpoints").folder(Path::new("/data")).is_err());
        assert!(named("data").folder(Path::new("./data")).is_err());
        assert_eq!(named("/data-checkpoints").folder(Path::new("/data")).expect("beside"), PathBuf::from("/data-checkpoints"));
    }
}
