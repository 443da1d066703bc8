//! Installs what the tests and the bench need and the machine lacks: programs through the system's package manager, and what is in Python
//! into folders of their own below `target/`: moto, which imitates Amazon's services, Schemathesis, which holds a server against its
//! OpenAPI document, and the reference library of Standard Webhooks, which receivers verify deliveries with.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// A program, and the Debian package that holds it.
const TOOLS: &[(&str, &str)] = &[
    ("cc", "build-essential"),
    ("sqlite3", "sqlite3"),
    ("strace", "strace"),
    ("curl", "curl"),
    ("python3", "python3"),
    ("openssl", "openssl"),
    ("initdb", "postgresql"),
    ("runuser", "util-linux"),
];

/// moto and the web server that it runs in, each in one version.
const MOTO: &[&str] = &["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5", "werkzeug==3.1.9"];

/// Schemathesis and what it draws its requests with, which the seed of a run belongs to.
const SCHEMATHESIS: &[&str] = &["schemathesis==4.32.5", "hypothesis==6.170.17"];

/// What verifies a delivery; it needs nothing else.
const STANDARD_WEBHOOKS: &[&str] = &["standardwebhooks==1.1.0"];

/// Where Debian keeps PostgreSQL's server programs, which are not on the path.
const POSTGRES_FOLDER: &str = "/usr/lib/postgresql";

/// Installs what is missing; says what it does.
pub(crate) fn missing() -> anyhow::Result<()> {
    let packages: Vec<&str> = TOOLS.iter().filter(|(tool, _)| !present(tool)).map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    ensure!(
        Path::new("/usr/bin/apt-get").exists(),
        "{} missing, and this is not a Debian system: install {} by hand",
        if packages.len() == 1 { "a tool is" } else { "tools are" },
        packages.join(", ")
    );
    println!("installing {}", packages.join(", "));
    if packages.contains(&"postgresql") {
        // The package would start a server of its own; the tests start theirs.
        let folder = Path::new("/etc/postgresql-common");
        std::fs::create_dir_all(folder).ok();
        std::fs::write(folder.join("createcluster.conf"), "create_main_cluster = false\n").ok();
    }
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0"));
    let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
    if !root {
        command.args(["-n", "apt-get"]);
    }
    let status = command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status().context("apt-get cannot be run")?;
    ensure!(status.success(), "apt-get {} failed", arguments.join(" "));
    Ok(())
}

/// Installs what is in Python where tests look for it, unless these versions are there.
pub(crate) fn python() -> anyhow::Result<()> {
    environment("target/moto", MOTO)?;
    environment("target/schemathesis", SCHEMATHESIS)?;
    environment("target/standardwebhooks", STANDARD_WEBHOOKS)
}

/// Installs packages into a virtual environment of their own.
fn environment(name: &str, packages: &[&str]) -> anyhow::Result<()> {
    let folder = crate::root().join(name);
    let (installed, wanted) = (folder.join("installed"), packages.join("\n"));
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    println!("installing {}", packages.join(", "));
    let run = |program: &Path, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        status.is_ok_and(|status| status.success())
    };
    let path = folder.to_str().context("target/ has a name that is not UTF-8")?;
    let make = ["-m", "venv", "--clear", path];
    if !run(Path::new("python3"), &make) {
        // Debian keeps half of it in a package of its own.
        apt(&["install", "-y", "-qq", "--no-install-recommends", "python3-venv"])?;
        ensure!(run(Path::new("python3"), &make), "python3 cannot make a virtual environment in {path}");
    }
    let pip = [&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"], packages].concat();
    ensure!(run(&folder.join("bin/python"), &pip), "pip cannot install {}", packages.join(", "));
    // Last, so that what was cut off is begun anew.
    std::fs::write(installed, wanted).with_context(|| format!("{name} cannot be written"))
}

fn present(tool: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(tool).is_file()) || (tool == "initdb" && postgres_folder().is_some())
}

/// The folder of the newest PostgreSQL's server programs.
pub(crate) fn postgres_folder() -> Option<std::path::PathBuf> {
    let mut versions: Vec<u32> = std::fs::read_dir(POSTGRES_FOLDER)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|version: &u32| Path::new(POSTGRES_FOLDER).join(version.to_string()).join("bin/initdb").is_file())
        .collect();
    versions.sort_unstable();
    Some(Path::new(POSTGRES_FOLDER).join(versions.last()?.to_string()).join("bin"))
}
