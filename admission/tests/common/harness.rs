//! A test runner whose binary is also every process that its tests start.
//!
//! `--role NAME ARGUMENTS` makes it one of those processes. Otherwise it behaves like the runner that Rust brings:
//! names to filter by, `--exact`, `--skip`, `--list`, one line for each test, and a closing line with the sum.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

/// What a process of the test does. Its arguments are text.
pub(crate) type Role = fn(&[String]);
/// A test: panics when it fails, else answers the figures it measured.
pub(crate) type Test = fn() -> String;

/// Runs a role or the tests, as the command line says.
pub(crate) fn main(roles: &[(&str, Role)], tests: &[(&str, Test)]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, role, rest @ ..] = arguments.as_slice()
        && flag == "--role"
    {
        let found = roles.iter().find(|(name, _)| name == role);
        found.expect("a role of this binary").1(rest);
        return ExitCode::SUCCESS;
    }
    run(&Choice::from(arguments), tests)
}

/// Which tests to run.
#[derive(Default)]
struct Choice {
    wanted: Vec<String>,
    unwanted: Vec<String>,
    exact: bool,
    list: bool,
}

impl From<Vec<String>> for Choice {
    fn from(arguments: Vec<String>) -> Choice {
        let mut choice = Choice::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => choice.exact = true,
                "--list" => choice.list = true,
                "--skip" => choice.unwanted.extend(arguments.next()),
                flag if flag.starts_with('-') => {}
                _ => choice.wanted.push(argument),
            }
        }
        choice
    }
}

impl Choice {
    fn takes(&self, name: &str) -> bool {
        let fits = |part: &String| if self.exact { name == part } else { name.contains(part.as_str()) };
        (self.wanted.is_empty() || self.wanted.iter().any(fits)) && !self.unwanted.iter().any(fits)
    }
}

fn run(choice: &Choice, tests: &[(&str, Test)]) -> ExitCode {
    let chosen: Vec<_> = tests.iter().filter(|(name, _)| choice.takes(name)).collect();
    if choice.list {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let started = Instant::now();
    let mut failed = Vec::new();
    for &&(name, test) in &chosen {
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(test));
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(figures) => println!("test {name} ... ok <{seconds:.1} s> {figures}"),
            Err(_) => {
                println!("test {name} ... FAILED <{seconds:.1} s>");
                failed.push(name);
            }
        }
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        chosen.len() - failed.len(),
        failed.len(),
        tests.len() - chosen.len(),
        started.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A process of the test, talking over its standard input and output in lines.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this binary in a role.
    pub(crate) fn start(role: &str, arguments: &[&dyn fmt::Display], variables: &[(&str, &str)]) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--role", role]).args(arguments.iter().map(|argument| argument.to_string()));
        command.envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Process { child, input, output: BufReader::new(output) }
    }

    /// Says a line to it.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// The next line it says; `None` when it has ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.output.read_line(&mut line).unwrap();
        (count > 0).then(|| line.trim_end().to_owned())
    }

    /// Closes its input and waits for its end.
    pub(crate) fn finish(self) -> ExitStatus {
        let Process { mut child, input, output } = self;
        drop(input);
        let status = child.wait().unwrap();
        drop(output);
        status
    }
}

/// In a role: the next line from the test; `None` when it has closed the input.
pub(crate) fn hear() -> Option<String> {
    let mut line = String::new();
    let count = std::io::stdin().lock().read_line(&mut line).unwrap();
    (count > 0).then(|| line.trim_end().to_owned())
}

/// In a role: a line to the test.
pub(crate) fn say(line: impl fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// A number from the environment: how long or how often a proof runs.
pub(crate) fn amount(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().map_or(usual, |value| {
        value.parse().unwrap_or_else(|_| panic!("{variable} is {value:?}, not a whole number"))
    })
}

/// A directory in memory for the shared files, as in production.
pub(crate) fn directory() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
