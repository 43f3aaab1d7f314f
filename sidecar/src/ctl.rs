//! `trunkctl`, the command line over the HTTP API: what people and scripts do with trunks without writing HTTP.
//!
//! ```text
//! commands (what may be typed) ▶ request (what is asked) ▶ client (HTTP) ▶ show (tables, or JSON with --json)
//! ```
//! Knows the API as any client does, over HTTP; uses nothing else of the daemon. Exit status: 0 done, 1 refused or failed,
//! 2 the daemon cannot be reached, 64 bad usage.

mod client;
mod commands;
mod explain;
mod import;
mod request;
mod resource;
mod show;
mod webhooks;

use std::process::ExitCode;

use clap::ArgMatches;
use serde_json::Value;

use client::{Client, Failure};
use request::{Request, Shape};

/// Exit status for bad usage (`EX_USAGE` of sysexits).
const USAGE: u8 = 64;

/// Does what the process's arguments say.
pub fn main() -> ExitCode {
    let matches = match commands::cli().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if let Some(("completions", shell)) = matches.subcommand() {
        if let Some(&shell) = shell.get_one::<clap_complete::Shell>("shell") {
            clap_complete::generate(shell, &mut commands::cli(), "trunkctl", &mut std::io::stdout());
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(&matches)),
        Err(error) => Err(Failure::Usage(format!("starting: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("trunkctl: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let client = Client::new(matches)?;
    let json = matches.get_flag("json");
    let Some((name, chosen)) = matches.subcommand() else {
        return Err(Failure::Usage("a command is needed; --help lists them".to_owned()));
    };
    match chosen.subcommand() {
        Some(("import", file)) => return import::run(&client, file, json).await,
        Some(("import-rates", file)) => return import::rates(&client, file, json).await,
        _ => {}
    }
    let request = Request::read(name, chosen)?;
    if matches!(request.shape, Shape::Csv) {
        return client.copy(&request, &mut std::io::stdout().lock()).await;
    }
    let answer = client.send(&request).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    match name {
        "explain" => explain::show(&answer),
        _ => show::show(&request, &answer),
    }
    Ok(())
}

fn print_json(answer: &Value) {
    if !answer.is_null() {
        println!("{answer:#}");
    }
}
