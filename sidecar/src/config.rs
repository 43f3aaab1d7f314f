//! The configuration: one main file and a directory of trunk files, read whole or refused whole.
//!
//! Every problem of every file is found in one run. Defaults are written once, in `config.default.toml`. Reading has no
//! effect on anything: no directory is made, no name looked up, nothing logged.

mod document;
mod kamailio;
mod main_file;
mod trunk_file;

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use document::Document;

use crate::domain::{Millis, Provisioned};
pub use crate::input::problem::Problem;
use crate::input::problem::Problems;
use crate::{api, gateways, logging, publish, webhook};

/// The commented default file; what it sets is the default of every key.
pub const DEFAULT: &str = include_str!("../config.default.toml");
/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Most trunk files.
pub const MAX_TRUNK_FILES: usize = 100_000;

/// A configuration without fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the image goes and how much fits.
    pub publish: publish::Settings,
    /// Directory of the database.
    pub state_dir: PathBuf,
    /// Group that may read the database; `None` is nobody else.
    pub state_group: Option<u32>,
    /// Where HTTP listens.
    pub listen: SocketAddr,
    /// What the API allows.
    pub api: api::Settings,
    /// Directory of the trunk files.
    pub trunk_files: Option<PathBuf>,
    /// The Kamailio beside us.
    pub kamailio: crate::kamailio::Settings,
    /// How names of gateways are looked up.
    pub gateways: gateways::Settings,
    /// How events are delivered.
    pub webhooks: webhook::Settings,
    /// How long calls and events are kept; `None` is for ever.
    pub keep_calls: Option<Duration>,
    /// When somebody has made sure last that the clock is right.
    pub clock_checked_ms: Option<Millis>,
    /// How long attempts may go on after SIGTERM.
    pub grace: Duration,
    /// What is logged.
    pub log: logging::Settings,
    /// The node, accounts and trunks.
    pub provisioned: Provisioned,
}

/// A main file without fault, and what is wrong with the trunk files.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Its accounts and trunks are complete if there are no problems; else there are none, so nobody takes over a part.
    pub config: Config,
    /// Faults of trunk files only.
    pub problems: Vec<Problem>,
}

impl From<Config> for Loaded {
    fn from(config: Config) -> Loaded {
        Loaded { config, problems: Vec::new() }
    }
}

/// Reads the main file and the trunk files it names.
///
/// # Errors
/// All problems of all files, none of which was taken over.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let loaded = load_main(path)?;
    if loaded.problems.is_empty() { Ok(loaded.config) } else { Err(loaded.problems) }
}

/// As [`load`], for who can do without the trunk files: their faults are no error.
///
/// # Errors
/// All problems of all files, if the main file has any.
pub fn load_main(path: &Path) -> Result<Loaded, Vec<Problem>> {
    let problems = Problems::default();
    let config = read(path, &problems);
    let problems = problems.into_vec();
    match config {
        Some(mut config) => {
            if !problems.is_empty() {
                config.provisioned.take();
            }
            Ok(Loaded { config, problems })
        }
        None => Err(problems),
    }
}

/// `None` if the main file has a fault.
fn read(path: &Path, problems: &Problems) -> Option<Config> {
    let file = path.display().to_string();
    let text = read_text(path, &file, problems)?;
    let defaults = Document::parse("default", DEFAULT, problems);
    let document = Document::parse(&file, &text, problems);
    let main = main_file::read(document.top(Some(&defaults))?);
    let good = problems.is_empty();

    // Trunk files are checked even if the main file is faulty: whoever fixes one wants to know of both.
    let context = trunk_file::Context {
        base_domain: main.base_domain.clone(),
        inbound_host: main.inbound_host.clone(),
        webhook_rules: main.webhook_rules(),
        allow_private_sources: main.allow_private_sources,
        capacity: main.capacity(),
    };
    let mut files = trunk_file::Files::new(&context, problems);
    for (name, text) in trunk_texts(main.trunk_files.as_deref(), &file, problems) {
        files.read(&name, &text);
    }
    let (accounts, trunks) = files.finish();
    main.build(accounts, trunks).filter(|_| good)
}

/// The trunk files' names and texts, in the order of their names.
fn trunk_texts(dir: Option<&Path>, main_file: &str, problems: &Problems) -> Vec<(String, String)> {
    let Some(dir) = dir else { return Vec::new() };
    let listed = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>());
    let mut paths = match listed {
        Ok(paths) => paths,
        Err(error) => {
            problems.push(main_file, "files.trunks", format!("{}: {error}", dir.display()));
            return Vec::new();
        }
    };
    // Editors leave dotfiles and backups behind; only plain *.toml counts.
    paths.retain(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.ends_with(".toml") && !name.starts_with('.'))
    });
    paths.sort();
    if paths.len() > MAX_TRUNK_FILES {
        problems.push(
            main_file,
            "files.trunks",
            format!("has {} files; at most {MAX_TRUNK_FILES} are read", paths.len()),
        );
        return Vec::new();
    }
    let read = |path: PathBuf| {
        let name = path.display().to_string();
        read_text(&path, &name, problems).map(|text| (name, text))
    };
    paths.into_iter().filter_map(read).collect()
}

fn read_text(path: &Path, file: &str, problems: &Problems) -> Option<String> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    let fault = match read {
        Err(error) => format!("cannot be read: {error}"),
        Ok(_) if bytes.len() as u64 > MAX_FILE_BYTES => format!("is larger than {MAX_FILE_BYTES} bytes"),
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => return Some(text),
            Err(error) => format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to()),
        },
    };
    problems.push(file, "file", fault);
    None
}
