//! Log lines on standard error, for people or machines. The level can change while running; the format cannot.

use std::str::FromStr;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt};

/// What is logged and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The least severe level that is written.
    pub level: Level,
    /// For people or machines.
    pub format: Format,
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object each.
    Json,
}

/// A log level as it is written in configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(LevelFilter);

impl FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Level, Self::Err> {
        let filter = match text {
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            _ => return Err("must be error, warn, info, debug or trace"),
        };
        Ok(Level(filter))
    }
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Format, Self::Err> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err("must be text or json"),
        }
    }
}

/// Changes the level of the running process.
#[derive(Clone, Debug)]
pub struct LevelHandle(reload::Handle<LevelFilter, Registry>);

impl LevelHandle {
    /// Sets the level from now on.
    pub fn set(&self, level: Level) {
        if let Err(error) = self.0.reload(level.0) {
            tracing::warn!(%error, "the log level could not be changed");
        }
    }
}

/// Starts logging for the whole process. Called once, by the command line.
pub fn start(settings: Settings) -> LevelHandle {
    let (filter, handle) = reload::Layer::new(settings.level.0);
    // Other people's crates talk about every packet; below "debug" they would drown ours.
    let ours = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer = match settings.format {
        Format::Text => ours.with_ansi(false).boxed(),
        Format::Json => ours.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(layer).init();
    LevelHandle(handle)
}
