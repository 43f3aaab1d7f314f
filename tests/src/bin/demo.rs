//! `make demo`: real calls through the Trunkline that `make run` has up, and a table of what should have happened beside
//! what did. Ends with 0 only when all of it matches.
//!
//! It adds trunks of its own through trunk files and takes them away again; it must never touch other files.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use e2e::scenarios;
use e2e::site::Site;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let state = env::var_os("STATE_DIR").map_or_else(|| PathBuf::from("./var"), PathBuf::from);
    let site = Site::running_in(&state)?;
    let dir = tempfile::TempDir::with_prefix("trunkline-demo-").context("a directory for sipp's logs")?;
    println!("Calls through {}, events to a receiver that checks every signature.\n", site.sip);
    let mut good = 0;
    for scenario in scenarios::ALL {
        println!("{}: {}", scenario.name, scenario.shows);
        match scenario.play(&site, dir.path()) {
            Ok(report) => {
                print!("{report}");
                good += usize::from(report.matches());
                println!(
                    "    {}\n",
                    if report.matches() { "as it should be" } else { "NOT as it should be" }
                );
            }
            Err(error) => println!("  ! {error:#}\n    NOT as it should be\n"),
        }
    }
    println!("{good} of {} scenarios went as they should.", scenarios::ALL.len());
    if good < scenarios::ALL.len() {
        let kept = dir.keep();
        println!("sipp's logs are in {}", kept.display());
    }
    Ok(good == scenarios::ALL.len())
}
