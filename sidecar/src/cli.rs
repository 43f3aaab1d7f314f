//! The command line: run, check a configuration, print the default one.
//!
//! Exit status: 0 good, 1 the daemon could not start or a part of it died, 64 bad usage or configuration. With faulty
//! trunk files it starts all the same if it has an earlier configuration to go on with.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::app::Daemon;
use crate::config::{self, Loaded};
use crate::logging;
use crate::reload;
use crate::shutdown::{Signals, Wish};

/// Exit status for bad usage or configuration (`EX_USAGE` of sysexits).
const USAGE: u8 = 64;

/// How long threads that nothing depends on may take at the end.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// The daemon beside Kamailio: publishes SIP trunks, logs calls, delivers webhooks.
#[derive(Debug, Parser)]
#[command(name = "trunkd", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground. SIGHUP reloads, SIGTERM stops.
    Run(File),
    /// Print every problem of the configuration and of the trunk files it names.
    CheckConfig(File),
    /// Print the default configuration, with every key explained.
    DefaultConfig,
}

#[derive(Debug, clap::Args)]
struct File {
    /// The main configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Does what the process's arguments say.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Run(file) => run(&file.config),
        Command::CheckConfig(file) => check(&file.config),
        Command::DefaultConfig => {
            say(config::DEFAULT.trim_end());
            ExitCode::SUCCESS
        }
    }
}

fn check(path: &Path) -> ExitCode {
    match config::load(path) {
        Ok(_) => {
            say("configuration is good");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in &problems {
                say(&problem.to_string());
            }
            ExitCode::from(USAGE)
        }
    }
}

fn run(path: &Path) -> ExitCode {
    let loaded = match config::load_main(path) {
        Ok(loaded) => loaded,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            return ExitCode::from(USAGE);
        }
    };
    let log = logging::start(loaded.config.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "starting the runtime");
            return ExitCode::FAILURE;
        }
    };
    let served = runtime.block_on(serve(path, loaded, log));
    // A name look-up that hangs in the system's resolver must not keep the process.
    runtime.shutdown_timeout(LAST_WAIT);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            let configuration = matches!(error.downcast_ref(), Some(reload::Error::NothingStored));
            if configuration { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

async fn serve(path: &Path, loaded: Loaded, log: logging::LevelHandle) -> anyhow::Result<()> {
    // Before anything is ready: a SIGHUP that comes early must not kill.
    let mut signals = Signals::listen()?;
    let daemon = Daemon::start(path.to_owned(), loaded, Some(log)).await?;
    let ready = format!("trunkd ready api={} generation={}", daemon.address, daemon.generation());
    tracing::info!("{ready}");
    say(&ready);
    loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            () = daemon.failed() => Wish::Stop,
        };
        match wish {
            Wish::Reload => daemon.reload(),
            Wish::Stop => break,
        }
    }
    tracing::info!("stopping");
    daemon.stop().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Writes a line to standard output. Whoever closed it does not want it: no panic.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
