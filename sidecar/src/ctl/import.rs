//! Many trunks at once: lines of JSON in, batches of requests out, one line of progress.
//!
//! A batch is made whole or not at all. What stops an import is said with the line it stands on; the batches before it
//! are made, and said so.

use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::time::Instant;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::client::{Client, Failure};
use super::request::{Request, Shape, segment};

/// Trunks of one request if nothing is said.
const BATCH: u64 = 1000;
/// Bytes of one request: the API takes a mebibyte.
const MAX_BYTES: usize = 1_000_000;

/// Reads a file of rates and makes them those of a plan, all or none.
pub(super) async fn rates(client: &Client, typed: &ArgMatches, as_json: bool) -> Result<(), Failure> {
    let text = |id: &str| typed.get_one::<String>(id).map(String::as_str).unwrap_or_default();
    let mut file = String::new();
    open(text("file"))?
        .read_to_string(&mut file)
        .map_err(|error| Failure::Usage(format!("{}: {error}", text("file"))))?;
    let path = format!("/v1/rate-plans/{}/rates:import", segment(text("id")));
    let answer = client.send_text(&Request::post(path, None, Shape::Object), "text/csv", file).await?;
    match as_json {
        true => println!("{answer:#}"),
        false => println!("{} rates", answer["rates"]),
    }
    Ok(())
}

fn open(file: &str) -> Result<Box<dyn Read>, Failure> {
    match file {
        "-" => Ok(Box::new(std::io::stdin())),
        file => {
            let opened = std::fs::File::open(file);
            Ok(Box::new(opened.map_err(|error| Failure::Usage(format!("{file}: {error}")))?))
        }
    }
}

/// Reads the file and makes its trunks.
pub(super) async fn run(client: &Client, typed: &ArgMatches, as_json: bool) -> Result<(), Failure> {
    let file = typed.get_one::<String>("file").map(String::as_str).unwrap_or("-");
    let batch = typed.get_one::<u64>("batch").copied().unwrap_or(BATCH);
    if batch == 0 {
        return Err(Failure::Usage("--batch: must be at least 1".to_owned()));
    }
    let input = open(file)?;
    let mut import = Import {
        client,
        as_json,
        begun: Instant::now(),
        made: 0,
        first_line: 1,
        lines: 0,
        body: String::new(),
    };
    for (number, line) in (1_u64..).zip(BufReader::new(input).lines()) {
        let line = line.map_err(|error| Failure::Usage(format!("{file}: line {number}: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        if import.lines == batch || import.body.len() + line.len() > MAX_BYTES {
            import.flush().await?;
        }
        if import.lines == 0 {
            import.first_line = number;
        }
        import.body.push_str(&line);
        import.body.push('\n');
        import.lines += 1;
    }
    import.flush().await?;
    import.end();
    Ok(())
}

struct Import<'a> {
    client: &'a Client,
    as_json: bool,
    begun: Instant,
    made: u64,
    first_line: u64,
    lines: u64,
    body: String,
}

impl Import<'_> {
    async fn flush(&mut self) -> Result<(), Failure> {
        if self.lines == 0 {
            return Ok(());
        }
        let request = Request::post("/v1/trunks:batch", None, Shape::Object);
        let sent =
            self.client.send_text(&request, "application/x-ndjson", std::mem::take(&mut self.body)).await;
        let answer = sent.map_err(|failure| self.stopped(failure))?;
        self.made += self.lines;
        self.lines = 0;
        if self.as_json {
            for object in answer["objects"].as_array().into_iter().flatten() {
                println!("{object}");
            }
        }
        self.progress();
        Ok(())
    }

    fn stopped(&self, failure: Failure) -> Failure {
        let where_ = format!(
            "the batch that begins on line {} was not made, {} trunks before it are",
            self.first_line, self.made
        );
        match failure {
            Failure::Refused(why) => Failure::Refused(format!("{where_}: {why}")),
            Failure::Usage(why) => Failure::Usage(format!("{where_}: {why}")),
            Failure::Unreachable { url, why } => {
                Failure::Unreachable { url, why: format!("{why}; {where_}") }
            }
        }
    }

    fn rate(&self) -> f64 {
        self.made as f64 / self.begun.elapsed().as_secs_f64().max(0.001)
    }

    fn progress(&self) {
        let mut out = std::io::stderr();
        if out.is_terminal() {
            let _ = write!(out, "\r{} trunks, {:.0} a second", self.made, self.rate());
            let _ = out.flush();
        }
    }

    fn end(&self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let line = format!("{} trunks in {seconds:.1} s, {:.0} a second", self.made, self.rate());
        let mut out = std::io::stderr();
        let _ = if out.is_terminal() { writeln!(out, "\r{line}") } else { writeln!(out, "{line}") };
        if self.as_json && self.made == 0 {
            println!("{}", json!({ "objects": Value::Array(Vec::new()) }));
        }
    }
}
