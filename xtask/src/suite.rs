//! `cargo xtask test`: every check, one after the other, and a closing line that counts them.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use crate::{install, root, tidy};

/// What tests are built with, once; lints look at the program without AWS as well, with everything else as it is, so that little is compiled
/// for that.
const FEATURES: &str = "xtask/bench,indelible/aws,indelible-postgres/sqlx,indelible-postgres/tokio-postgres";
/// See [`FEATURES`].
const WITHOUT_AWS: &str = "xtask/bench,indelible-postgres/sqlx,indelible-postgres/tokio-postgres";

/// The same tests over the other store, in the same binary, so with the packages and features that it was built with. What is left out can
/// only be about a file, or is about the checkpoint store.
const LEDGER: &[&str] = &[
    "--workspace",
    "--no-fail-fast",
    "--features",
    FEATURES,
    "--test",
    "ledger",
    "--",
    "--skip",
    "embedded::",
    "--skip",
    "bucket::",
    "--skip",
    "anchors::sealing_into_an_object_store",
];

/// Passed and failed, tests and checks together.
#[derive(Default)]
struct Count {
    passed: u64,
    failed: u64,
}

/// Runs everything, also after a failure, so that one run tells all. Ends with `N passed, N failed`.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    install::missing()?;
    install::python()?;
    let mut count = Count::default();
    let check = |count: &mut Count, name: &str, command: &mut Command| {
        println!("\n== {name}");
        let passed = command.current_dir(root()).status().is_ok_and(|status| status.success());
        count.passed += u64::from(passed);
        count.failed += u64::from(!passed);
        if !passed {
            println!("{name}: failed");
        }
    };
    check(&mut count, "formatting", cargo().args(["fmt", "--all", "--check"]));
    println!("\n== the rules of the house");
    for (rule, faults) in tidy::faults() {
        println!("{rule}: {}", if faults.is_empty() { "ok" } else { "failed" });
        for fault in &faults {
            println!("  {fault}");
        }
        count.passed += u64::from(faults.is_empty());
        count.failed += u64::from(!faults.is_empty());
    }
    let clippy = ["clippy", "--workspace", "--all-targets", "--features", FEATURES, "--quiet", "--", "-D", "warnings"];
    check(&mut count, "lints", cargo().args(clippy));
    let clippy = ["clippy", "--workspace", "--features", WITHOUT_AWS, "--quiet", "--", "-D", "warnings"];
    check(&mut count, "lints without AWS", cargo().args(clippy));
    println!("\n== tests");
    tests(&mut count, test().args(["--workspace", "--no-fail-fast", "--features", FEATURES]))?;
    println!("\n== tests of the ledger, kept in PostgreSQL");
    tests(&mut count, test().args(LEDGER).env("INDELIBLE_TEST_STORE", "postgres"))?;
    let doc = ["doc", "--workspace", "--no-deps", "--features", FEATURES, "--quiet"];
    check(&mut count, "documentation", cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"));
    if root().join("fuzz/Cargo.toml").exists() {
        let fuzz = ["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target/fuzz"];
        check(&mut count, "fuzz targets compile", cargo().args(fuzz));
    }
    println!("\n{} passed, {} failed", count.passed, count.failed);
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Nothing is kept for compiling in parts later: on a clean clone that costs a third more.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.env("CARGO_INCREMENTAL", "0");
    cargo
}

/// As many at once as keep the processors busy: most tests wait for a disk, a server or a clock.
fn test() -> Command {
    let mut cargo = cargo();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cargo.arg("test").env("RUST_TEST_THREADS", (2 * cores).to_string());
    cargo
}

/// Runs tests and reads the counts from cargo's own closing lines.
fn tests(count: &mut Count, command: &mut Command) -> anyhow::Result<()> {
    let mut child = command.current_dir(root()).stdout(Stdio::piped()).spawn()?;
    let mut seen = Count::default();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line?;
            if let Some((passed, failed)) = closing_line(&line) {
                seen.passed += passed;
                seen.failed += failed;
            }
            println!("{line}");
        }
    }
    let status = child.wait()?;
    count.passed += seen.passed;
    // A test binary that does not build or that dies prints no closing line.
    count.failed += if status.success() { seen.failed } else { seen.failed.max(1) };
    Ok(())
}

/// The counts of `test result: ok. 3 passed; 0 failed; …`.
fn closing_line(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let number = |word: &str| rest.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok());
    Some((number("passed")?, number("failed")?))
}

#[cfg(test)]
mod tests {
    use super::closing_line;

    #[test]
    fn closing_lines_are_read() {
        assert_eq!(
            closing_line("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s"),
            Some((12, 0))
        );
        assert_eq!(closing_line("test result: FAILED. 1 passed; 2 failed; 0 ignored"), Some((1, 2)));
        assert_eq!(closing_line("test json ... ok"), None);
    }
}
