//! The first pass: reads everything that is to be in the bundle, and keeps its digests. Entries that are not those that were signed
//! are found here: a bundle that would prove that its own ledger was altered is refused, and `indelible verify` tells more.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use aws_lc_rs::digest::{Context, SHA256, digest};
use indelible_core::bundle::{FileName, FolderDigest, Kind, Manifest, tar};
use indelible_core::chain::Hash;
use indelible_core::entry::Outline;
use indelible_core::limits::BUNDLE_REMEMBERED_MAX;
use indelible_core::proof::RangeCheck;
use indelible_core::tree::leaf_hash;

use super::ask::Asked;
use super::contents::Content;
use super::foundation::Foundation;
use super::journal::Journal;
use super::not_as_signed;
use super::rows::Rows;
use crate::query::ReadError;
use crate::query::scan::Found;
use crate::resource::Project;

/// An entry that is remembered between the passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    pub(super) row: i64,
    pub(super) sequence: u64,
    pub(super) sealed: bool,
}

/// A folder of the tar, as it grows.
#[derive(Clone)]
pub(super) struct Folder {
    digest: FolderDigest,
    tar_bytes: u64,
}

impl Folder {
    /// Without files.
    pub(super) fn new() -> Self {
        Self { digest: FolderDigest::new(), tar_bytes: 0 }
    }

    /// One more file.
    pub(super) fn add(&mut self, file: FileName, bytes: &[u8]) {
        self.digest.begin(file, bytes.len() as u64);
        self.digest.update(bytes);
        self.tar_bytes += tar::bytes_of(bytes.len() as u64);
    }

    /// Whether it has the same files.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.digest.clone().finish() == other.digest.clone().finish()
    }
}

/// What the first pass found.
pub(super) struct Survey {
    pub(super) entries: u64,
    pub(super) entries_bytes: u64,
    pub(super) entries_sha256: Hash,
    /// Of a selection.
    pub(super) proofs: Option<Folder>,
    /// Of a bundle with contents.
    pub(super) contents: Option<Folder>,
    /// Of a selection, and of any bundle with contents.
    pub(super) chosen: Vec<Chosen>,
}

/// The pass as it goes.
struct Pass<'a> {
    journal: &'a Journal,
    number: i64,
    foundation: &'a Foundation,
    remembers: bool,
    check: Option<RangeCheck>,
    digest: Context,
    found: Survey,
}

/// Reads what is to be in the bundle; `progress` is told how many rows of how many were gone through.
pub(super) fn survey(
    journal: &Journal,
    number: i64,
    foundation: &Foundation,
    asked: &Asked,
    gone: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Survey, ReadError> {
    let selection = foundation.kind == Kind::Selection;
    let found = Survey {
        entries: 0,
        entries_bytes: 0,
        entries_sha256: [0; 32],
        proofs: selection.then(Folder::new),
        contents: asked.content.then(Folder::new),
        chosen: Vec::new(),
    };
    let check = foundation.range_proof.as_ref().map(indelible_core::proof::RangeProof::check);
    let remembers = selection || asked.content;
    let mut pass = Pass { journal, number, foundation, remembers, check, digest: Context::new(&SHA256), found };
    let of = (&journal.ledger, &journal.reading, number);
    let mut rows = Rows::new(of, foundation.head, asked.filter.as_ref(), (foundation.first, foundation.last));
    let all = foundation.last - foundation.first + 1;
    loop {
        progress(rows.next() - foundation.first, all);
        match rows.chunk(gone)? {
            Some(chunk) => pass.take(&chunk)?,
            None => return pass.finish(),
        }
    }
}

impl Pass<'_> {
    fn take(&mut self, chunk: &[Found]) -> Result<(), ReadError> {
        for row in chunk {
            self.digest.update(&row.entry);
            self.digest.update(b"\n");
            self.found.entries += 1;
            self.found.entries_bytes += row.entry.len() as u64 + 1;
            if let Some(check) = &mut self.check {
                if check.next() != row.sequence {
                    return Err(not_as_signed(check.next()));
                }
                check.push(leaf_hash(&row.entry));
            }
            if self.remembers {
                if self.found.entries > BUNDLE_REMEMBERED_MAX {
                    let reason =
                        format!("more than {BUNDLE_REMEMBERED_MAX} entries, which only a range without contents may have: ask for less");
                    return Err(ReadError::Options(reason));
                }
                let sealed = Outline::read(&row.entry).is_some_and(|outline| outline.sealed.is_some());
                self.found.chosen.push(Chosen { row: row.row, sequence: row.sequence, sealed });
            }
            if let Some(folder) = &mut self.found.contents
                && let Some(content) = Content::read(&self.journal.ledger, row.row, &row.entry)?
            {
                content.files().for_each(|(file, bytes)| folder.add(file, bytes));
            }
        }
        let Some(folder) = &mut self.found.proofs else { return Ok(()) };
        let proofs = self.foundation.proofs(&self.journal.ledger, self.number, chunk.iter().map(|row| row.sequence))?;
        for (row, proof) in chunk.iter().zip(proofs) {
            if leaf_hash(&row.entry) != proof.leaf {
                return Err(not_as_signed(row.sequence));
            }
            folder.add(FileName::Proof(row.sequence), proof.text.as_bytes());
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Survey, ReadError> {
        if let Some(check) = self.check
            && check.root() != Some(self.foundation.tree.root)
        {
            return Err(not_as_signed(self.foundation.first));
        }
        self.found.entries_sha256.copy_from_slice(self.digest.finish().as_ref());
        Ok(self.found)
    }
}

impl Survey {
    /// The manifest of the bundle.
    pub(super) fn manifest(&self, project: &Project, foundation: &Foundation, asked: &Asked) -> Manifest {
        let mut files = BTreeMap::new();
        for (file, bytes) in &foundation.files {
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(digest(&SHA256, bytes).as_ref());
            files.insert(file.digest_name().to_owned(), sha256);
        }
        files.insert(FileName::Entries.digest_name().to_owned(), self.entries_sha256);
        for (folder, of) in
            [(&self.proofs, FileName::Proof(0)), (&self.contents, FileName::Content(0, indelible_core::bundle::ContentPart::Key))]
        {
            files.extend(folder.as_ref().map(|folder| (of.digest_name().to_owned(), folder.digest.clone().finish())));
        }
        Manifest {
            kind: foundation.kind,
            organization_id: project.organization_id,
            project_id: project.id,
            origin: foundation.origin.clone(),
            filter: asked.claim.clone(),
            first_sequence: foundation.first,
            last_sequence: foundation.last,
            tree_size: foundation.tree.size,
            entries_included: self.entries,
            content_included: self.contents.is_some(),
            files,
        }
    }

    /// Bytes of the whole tar.
    pub(super) fn tar_bytes(&self, foundation: &Foundation, manifest: &[u8]) -> u64 {
        let plain: u64 = foundation.files.iter().map(|(_, bytes)| tar::bytes_of(bytes.len() as u64)).sum();
        let folders: u64 = [&self.proofs, &self.contents].into_iter().flatten().map(|folder| folder.tar_bytes).sum();
        let entries = tar::bytes_of(self.entries_bytes);
        tar::bytes_of(manifest.len() as u64) + plain + entries + folders + tar::END.len() as u64
    }
}
