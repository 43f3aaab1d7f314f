//! The machine and the programs that a figure was measured on.
//!
//! It must never tell who or where: processor, memory, kernel and versions are what a figure depends on.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// What is worth knowing beside a figure.
#[derive(Clone, Debug)]
pub struct Machine {
    processors: usize,
    model: String,
    memory_gib: f64,
    kernel: String,
    kamailio: String,
    sqlite: String,
    /// Load averages when the benchmark began: whether the machine was quiet.
    load: String,
}

impl Machine {
    /// This one, now.
    #[must_use]
    pub fn now() -> Machine {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let after = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
            line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let first_line = |program: &str, argument: &str| {
            let out = Command::new(program).arg(argument).output();
            let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
            text.lines().next().unwrap_or("unknown").trim().to_owned()
        };
        let cpu = read("/proc/cpuinfo");
        let kib: f64 =
            after(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
        Machine {
            processors: cpu.lines().filter(|line| line.starts_with("processor")).count(),
            model: after(&cpu, "model name"),
            memory_gib: (kib / f64::from(1 << 20)).round(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            kamailio: first_line("kamailio", "-v").replace("version: ", ""),
            sqlite: first_line("sqlite3", "--version").split(' ').next().unwrap_or_default().to_owned(),
            load: read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        }
    }

    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        let Machine { processors, model, memory_gib, kernel, kamailio, sqlite, load } = self;
        format!(
            "{processors} processors ({model}), {memory_gib} GiB, Linux {kernel}, {kamailio}, SQLite {sqlite}; load before the start {load}"
        )
    }

    /// For the JSON file.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "processors": self.processors, "model": self.model, "memoryGib": self.memory_gib, "kernel": self.kernel,
            "kamailio": self.kamailio, "sqlite": self.sqlite, "load": self.load,
        })
    }
}
