//! `cargo xtask test`: every check, one after the other, and a closing line that counts them.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;

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
    /// What those that failed said.
    failures: String,
}

impl Count {
    fn take(&mut self, checked: &Checked) {
        self.passed += u64::from(checked.passed);
        if !checked.passed {
            self.failed += 1;
            self.failures.extend([&checked.name, ":\n", &checked.said, "\n"]);
        }
    }
}

/// Runs everything, also after a failure, so that one run tells all. Ends with what failed, and `N passed, N failed`.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    install::missing()?;
    install::python()?;
    let mut count = Count::default();
    println!("\n== formatting");
    let formatted = Checked::of("formatting", cargo().args(["fmt", "--all", "--check"]));
    count.take(&formatted);
    println!("\n== the rules of the house");
    for (rule, faults) in tidy::faults() {
        println!("{rule}: {}", if faults.is_empty() { "ok" } else { "failed" });
        count.take(&Checked { name: rule.to_owned(), passed: faults.is_empty(), said: faults.join("\n") });
    }
    let name = "tests";
    println!("\n== {name}");
    let (say, said) = mpsc::channel();
    let checks = thread::spawn(move || said.recv().map(|()| beside()).unwrap_or_default());
    tests(&mut count, name, test().args(["--workspace", "--no-fail-fast", "--features", FEATURES]), Some(say))?;
    let name = "tests of the ledger, kept in PostgreSQL";
    println!("\n== {name}");
    tests(&mut count, name, test().args(LEDGER).env("INDELIBLE_TEST_STORE", "postgres"), None)?;
    println!("\n== lints and documentation");
    // Where nothing was compiled, no test began: they are made then.
    let checks = checks.join().map_err(|_| anyhow::anyhow!("the checks beside the tests panicked"))?;
    for checked in if checks.is_empty() { beside() } else { checks } {
        println!("{}: {}", checked.name, if checked.passed { "ok" } else { "failed" });
        count.take(&checked);
    }
    if !count.failures.is_empty() {
        println!("\n== what failed\n{}", count.failures);
    }
    println!("\n{} passed, {} failed", count.passed, count.failed);
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What only compiles, one after the other, while tests wait for disks and clocks, at the lowest priority.
fn beside() -> Vec<Checked> {
    let lints = ["clippy", "--workspace", "--all-targets", "--features", FEATURES, "--quiet", "--", "-D", "warnings"];
    let without_aws = ["clippy", "--workspace", "--features", WITHOUT_AWS, "--quiet", "--", "-D", "warnings"];
    let doc = ["doc", "--workspace", "--no-deps", "--features", FEATURES, "--quiet"];
    vec![
        Checked::of("lints", low().args(lints)),
        Checked::of("lints without AWS", low().args(without_aws)),
        Checked::of("documentation", low().args(doc).env("RUSTDOCFLAGS", "-D warnings")),
    ]
}

/// A check that is no test, and what it said.
struct Checked {
    name: String,
    passed: bool,
    said: String,
}

impl Checked {
    fn of(name: &str, command: &mut Command) -> Self {
        let (passed, said) = match command.current_dir(root()).output() {
            Ok(output) => (output.status.success(), [output.stdout, output.stderr].concat()),
            Err(error) => (false, error.to_string().into_bytes()),
        };
        Self { name: name.to_owned(), passed, said: String::from_utf8_lossy(&said).into_owned() }
    }
}

/// Nothing is kept for compiling in parts later: on a clean clone that costs a third more.
fn cargo() -> Command {
    in_one(Command::new(env!("CARGO")))
}

/// See [`cargo`]: it gives way to whatever else runs.
fn low() -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19", env!("CARGO")]);
    in_one(nice)
}

fn in_one(mut command: Command) -> Command {
    command.env("CARGO_INCREMENTAL", "0");
    command
}

/// As many at once as keep the processors busy: most tests wait for a disk, a server or a clock.
fn test() -> Command {
    let mut cargo = cargo();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cargo.arg("test").env("RUST_TEST_THREADS", (2 * cores).to_string());
    cargo
}

/// Runs tests, reads the counts from cargo's own closing lines, and keeps what those that failed said. `began` is told once tests run, when the
/// folder that cargo builds in is free again.
fn tests(count: &mut Count, name: &str, command: &mut Command, mut began: Option<mpsc::Sender<()>>) -> anyhow::Result<()> {
    let mut child = command.current_dir(root()).stdout(Stdio::piped()).spawn()?;
    let (mut passed, mut failed, mut in_failures) = (0, 0, false);
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line?;
            if let Some(began) = began.take() {
                // In vain where the thread is gone, which is told when it is joined.
                let _ = began.send(());
            }
            if let Some(closing) = closing_line(&line) {
                (passed, failed) = (passed + closing.0, failed + closing.1);
            }
            in_failures = (in_failures || line == "failures:") && !line.starts_with("test result: ");
            if in_failures {
                count.failures.extend([&line, "\n"]);
            }
            println!("{line}");
        }
    }
    let status = child.wait()?;
    count.passed += passed;
    // A test binary that does not build or that dies prints no closing line.
    count.failed += if status.success() { failed } else { failed.max(1) };
    if !status.success() && failed == 0 {
        count.failures.extend([name, ": did not compile, or died; see above\n"]);
    }
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
