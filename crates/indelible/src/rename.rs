//! Giving a file another name that nothing has yet.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Renames a file within its file system; [`io::ErrorKind::AlreadyExists`] where the name is taken, which is left as it is.
pub(crate) fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot look and rename in one: whoever takes the name in between loses.
        Err(Errno::INVAL) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(Errno::INVAL) => std::fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, two, link] = ["one", "two", "link"].map(|name| folder.path().join(name));
        std::fs::write(&one, "1").expect("written");
        std::fs::write(&two, "2").expect("written");
        std::os::unix::fs::symlink("nowhere", &link).expect("a link");
        for taken in [&two, &link] {
            assert_eq!(rename_to_new(&one, taken).expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
        }
        rename_to_new(&one, &folder.path().join("three")).expect("free");
        assert_eq!((std::fs::read_to_string(&two).expect("read"), one.exists()), ("2".to_owned(), false));
    }
}
