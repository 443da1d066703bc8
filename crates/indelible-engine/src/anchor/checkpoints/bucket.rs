//! The checkpoint store in an object store that speaks S3: a log of segments (`segment.rs`), of which a swap makes the next one, under the
//! condition that there is none of its number (`PUT` with `If-None-Match: *`).
//!
//! So a swap of a thousand checkpoints is one request, all or none, and its cost is what changed; what was signed once stays to be
//! seen; and the credentials need not be able to overwrite or to delete. Why not an object a tree, or one for all:
//! `docs/decisions/0007`. What was read is kept, so proving that a tree grew asks nobody.
//!
//! Whatever a put is answered, the object of that number decides, which is read after it: our own bytes mean that the swap is done,
//! though its answer may have been lost; other bytes are somebody else's swap, after which it is seen whether what was read still
//! holds; none, that it failed, whoever said that it did not. If it arrives later still, it is the checkpoint of a tree that the ledger
//! has: the next opening goes on from it.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::address::Bucket;
use super::closing::{Closing, closing};
use super::lane::Lane;
use super::objects::{Making, Objects};
use super::segment::{Segment, Trees};
use super::{CheckpointsError, Swap};

/// Objects read at a time.
const READS_AT_ONCE: u64 = 16;
/// Swaps of others that one of ours may come after.
const OTHERS_MAX: usize = 8;

/// The open store of an instance.
pub(crate) struct BucketStore {
    lane: Lane,
    objects: Objects,
    /// What its segments said when it last looked.
    trees: Trees,
}

/// Everything in the store of an instance. Makes nothing: needs to list and to read, no more.
pub(super) fn read_all(bucket: &Bucket, instance: &str) -> Result<Option<BTreeMap<String, String>>, CheckpointsError> {
    let objects = Objects::new(bucket, instance)?;
    let lane = Lane::new(bucket.to_string(), bucket.wait_max, closing().1)?;
    let trees = lane.run(load(&objects, instance))?;
    Ok(trees.map(Trees::into_all))
}

impl BucketStore {
    pub(super) fn open(bucket: &Bucket, instance: &str, closing: &Closing) -> Result<Self, CheckpointsError> {
        let objects = Objects::new(bucket, instance)?;
        let lane = Lane::new(bucket.to_string(), bucket.wait_max, closing.clone())?;
        let trees = lane.run(async {
            begin(&objects, instance).await?;
            let trees = load(&objects, instance).await?;
            trees.ok_or_else(|| objects.unusable(&"its first object was made, and is not listed"))
        })?;
        Ok(Self { lane, objects, trees })
    }

    pub(super) fn read(&self, origin: &str) -> Option<String> {
        self.trees.all().get(origin).cloned()
    }

    pub(super) fn swap(&mut self, swaps: &[Swap]) -> Result<(), CheckpointsError> {
        self.lane.run(swap(&self.objects, &mut self.trees, swaps))
    }
}

async fn swap(objects: &Objects, trees: &mut Trees, swaps: &[Swap]) -> Result<(), CheckpointsError> {
    for _ in 0..OTHERS_MAX {
        let segment = trees.next(swaps)?;
        let bytes = segment.to_bytes();
        let made = objects.make(segment.number(), bytes.clone()).await;
        let refused = |how: &str| Err(objects.unusable(&format!("it {how} segment {}, and there is none", segment.number())));
        match (objects.get_next(segment.number()).await?, made) {
            (Some(found), _) if found == bytes => return trees.follow(segment).map_err(|error| objects.unusable(&error)),
            (Some(found), _) => follow(objects, trees, &found)?,
            (None, Making::Unknown(error)) => return Err(error),
            (None, Making::Exists) => return refused("refused to make"),
            (None, Making::Made) => return refused("says that it made"),
        }
    }
    Err(objects.unusable(&"others swap without end: does another server sign for this instance?"))
}

/// Makes the first segment, and sees that it cannot be made twice: a store that does not know the condition would let two sealers
/// overwrite each other.
async fn begin(objects: &Objects, instance: &str) -> Result<(), CheckpointsError> {
    for _ in 0..2 {
        match objects.make(0, Segment::first(instance).to_bytes()).await {
            Making::Exists => return Ok(()),
            Making::Made => {}
            Making::Unknown(error) => return Err(error),
        }
    }
    Err(objects.unusable(&"it makes an object that is there already, though asked not to (If-None-Match: *): it cannot keep checkpoints"))
}

/// What the segments say, from the last whole one on; `None` where there are none.
async fn load(objects: &Objects, instance: &str) -> Result<Option<Trees>, CheckpointsError> {
    let Some(newest) = objects.newest().await? else { return Ok(None) };
    let last = read(objects, instance, newest).await?;
    let base = last.base();
    let mut segments = BTreeMap::from([(newest, last)]);
    let mut reads = JoinSet::new();
    for number in base..newest {
        if number - base >= READS_AT_ONCE {
            take(objects, &mut reads, &mut segments).await?;
        }
        let (objects, instance) = (objects.clone(), instance.to_owned());
        reads.spawn(async move { read(&objects, &instance, number).await });
    }
    while !reads.is_empty() {
        take(objects, &mut reads, &mut segments).await?;
    }
    let mut segments = segments.into_values();
    let whole = segments.next().and_then(Trees::of);
    let mut trees =
        whole.ok_or_else(|| objects.unusable(&format!("segment {base} does not hold every tree, though segment {newest} says so")))?;
    for segment in segments {
        trees.follow(segment).map_err(|error| objects.unusable(&error))?;
    }
    // Numbers decide, not the listing, which may be behind.
    while let Some(found) = objects.get_next(trees.number() + 1).await? {
        follow(objects, &mut trees, &found)?;
    }
    Ok(Some(trees))
}

async fn read(objects: &Objects, instance: &str, number: u64) -> Result<Segment, CheckpointsError> {
    let bytes = objects.get(number).await?.ok_or_else(|| objects.unusable(&format!("segment {number} is not there")))?;
    Segment::parse(&bytes, instance, number).map_err(|error| objects.unusable(&error))
}

/// Takes the next segment that was read.
async fn take(
    objects: &Objects,
    reads: &mut JoinSet<Result<Segment, CheckpointsError>>,
    segments: &mut BTreeMap<u64, Segment>,
) -> Result<(), CheckpointsError> {
    if let Some(read) = reads.join_next().await {
        let segment = read.map_err(|error| objects.unusable(&error))??;
        segments.insert(segment.number(), segment);
    }
    Ok(())
}

/// Goes on to the segment after the newest, which somebody else made.
fn follow(objects: &Objects, trees: &mut Trees, bytes: &[u8]) -> Result<(), CheckpointsError> {
    let segment = Segment::parse(bytes, trees.instance(), trees.number() + 1);
    segment.and_then(|segment| trees.follow(segment)).map_err(|error| objects.unusable(&error))
}
