//! What may be typed: one command for each resource, with the same verbs, and a few that are no resource.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgGroup, Command, value_parser};

use super::resource::{Field, Filter, Kind, RESOURCES, Resource};
use super::webhooks;

/// Where the daemon is if nothing is said.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// The whole command line.
pub(super) fn cli() -> Command {
    Command::new("trunkctl")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Trunkline on the command line: trunks, accounts, calls, and why one would pass or not")
        .after_help(
            "Environment: TRUNKLINE_URL, TRUNKLINE_TOKEN. Exit status: 0 done, 1 refused or failed, 2 the daemon \
             cannot be reached, 64 bad usage.",
        )
        .arg_required_else_help(true)
        .subcommand_required(true)
        .arg(
            Arg::new("url")
                .long("url")
                .global(true)
                .value_name("URL")
                .help(format!("Where trunkd answers; else TRUNKLINE_URL, else {DEFAULT_URL}")),
        )
        .arg(
            Arg::new("token-file")
                .long("token-file")
                .global(true)
                .value_name("FILE")
                .help("File with the token, such as STATE_DIR/admin-token; else TRUNKLINE_TOKEN"),
        )
        .arg(switch("json", "Print the API's answer as it is, for scripts").global(true))
        .subcommands(RESOURCES.iter().map(resource))
        .subcommand(
            Command::new("live")
                .about("Calls that are up, rates, and the last refusals")
                .arg(Arg::new("id").value_name("TRUNK").help("One trunk; else the whole node")),
        )
        .subcommand(calls())
        .subcommand(explain())
        .subcommands(webhooks::commands())
        .subcommand(
            Command::new("reload")
                .about("Read the configuration files anew, and say what changes")
                .arg(switch("dry-run", "Say what would change, and change nothing")),
        )
        .subcommand(Command::new("status").about("What is stored, published, mapped by each worker, and loaded"))
        .subcommand(
            Command::new("completions").about("Print a completion script").arg(
                Arg::new("shell").required(true).value_parser(value_parser!(clap_complete::Shell)).help("Your shell"),
            ),
        )
}

pub(super) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn resource(resource: &Resource) -> Command {
    let verb = |name: &'static str, about: &'static str| {
        let command = Command::new(name).about(about);
        let trunk = Arg::new("trunk").required(true).value_name("TRUNK").help("Id of the trunk");
        if resource.is_part() { command.arg(trunk) } else { command }
    };
    let id = || Arg::new("id").required(true).value_name("ID").help(format!("Its {}", resource.id));
    let wait = || switch("no-wait", "Do not wait until the module has it");
    let mut list = verb("list", "List them")
        .arg(number("limit", "At most so many; else all"))
        .arg(number("offset", "Leave out so many"));
    list = list.args(resource.filters.iter().map(Filter::arg));
    let flags = |create: bool| {
        let fields = resource.fields.iter();
        fields.filter(move |field| create || !field.create_only).map(flag).collect::<Vec<_>>()
    };
    let mut delete = verb("delete", "Delete one").arg(id()).arg(wait());
    if resource.carries_calls {
        delete = delete.arg(switch("force", "End the calls that are up on it"));
    }
    let command = Command::new(resource.name)
        .about(resource.about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(list)
        .subcommand(verb("show", "Show one").arg(id()))
        .subcommand(verb("create", "Make one").args(flags(true)).arg(wait()))
        .subcommand(
            verb("update", "Change what is named, leave the rest")
                .arg(id())
                .args(flags(false))
                .arg(
                    Arg::new("if-match")
                        .long("if-match")
                        .value_name("ETAG")
                        .help("Only if it is still this version"),
                )
                .arg(wait()),
        )
        .subcommand(delete);
    match resource.name {
        "trunk" => with_import(command),
        "rate-plan" => with_rates(command),
        _ => command,
    }
}

/// What rate plans have beside the verbs of all.
fn with_rates(command: Command) -> Command {
    let plan = || Arg::new("id").required(true).value_name("PLAN").help("Its ratePlanId");
    let who = |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("ID").help(help);
    command
        .subcommand(
            Command::new("rates")
                .about("List its rates")
                .arg(plan())
                .arg(number("limit", "At most so many; else all"))
                .arg(number("offset", "Leave out so many"))
                .arg(switch("csv", "Print all as CSV, as it can be imported").conflicts_with_all(["limit", "offset"])),
        )
        .subcommand(
            Command::new("import-rates")
                .about("Replace all its rates by those of a CSV file: prefix,pricePerMinute and more, see docs/api.md")
                .arg(plan())
                .arg(Arg::new("file").required(true).value_name("FILE").help("- is standard input")),
        )
        .subcommand(
            Command::new("choose")
                .about("Say whose calls go by it from now on")
                .arg(Arg::new("id").required(true).value_name("PLAN|none").help("Its ratePlanId"))
                .arg(who("account", "An account's"))
                .arg(who("trunk", "A trunk's, before its account's"))
                .arg(who("application", "A voice application's, before its account's"))
                .group(ArgGroup::new("payer").args(["account", "trunk", "application"]).required(true)),
        )
}

fn with_import(command: Command) -> Command {
    command.subcommand(
        Command::new("import")
            .about("Make many: one JSON object a line, as for create")
            .arg(Arg::new("file").required(true).value_name("FILE").help("- is standard input"))
            .arg(number("batch", "Trunks of one request: all of them are made, or none (1000)")),
    )
}

pub(super) fn number(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("N").value_parser(value_parser!(u64)).help(help)
}

fn flag(field: &Field) -> Arg {
    let arg = Arg::new(field.json).long(field.flag).help(field.help).allow_hyphen_values(true);
    match field.kind {
        Kind::Flag => arg.value_name("BOOL").value_parser(PossibleValuesParser::new(["true", "false"])),
        Kind::Number => arg.value_name("N"),
        Kind::NumberOrNone => arg.value_name("N|none"),
        Kind::Texts => arg.value_name("LIST"),
        Kind::TextsOrNone | Kind::NumbersOrNone => arg.value_name("LIST|none"),
        Kind::Objects => arg.value_name("JSON").action(ArgAction::Append),
        Kind::TextOrNone => arg.value_name("TEXT|none"),
        Kind::Text | Kind::Secret => arg.value_name("TEXT"),
    }
}

fn calls() -> Command {
    Command::new("calls")
        .about("The call log, refused calls included, newest first")
        .arg(Arg::new("id").value_name("CALL").help("One call; else a list"))
        .args(super::request::CALL_FILTERS.iter().map(Filter::arg))
        .arg(number("limit", "At most so many (20)"))
        .arg(number("offset", "Leave out so many").conflicts_with("cursor"))
        .arg(Arg::new("cursor").long("cursor").value_name("TEXT").help("Go on where a page ended"))
        .arg(
            switch("csv", "Print all that match as CSV")
                .conflicts_with_all(["id", "limit", "offset", "cursor", "summary"]),
        )
        .arg(
            switch("summary", "Say what they come to: attempts, answers, their length")
                .conflicts_with_all(["id", "limit", "offset", "cursor"]),
        )
}

fn explain() -> Command {
    Command::new("explain")
        .about("Why a call would pass or not, now, and which gateways it would try; takes nothing")
        .arg(
            Arg::new("uri")
                .required(true)
                .value_name("URI")
                .help("The Request-URI, such as sip:15550001@acme.sip.example.net"),
        )
        .arg(
            Arg::new("source")
                .long("source")
                .required(true)
                .value_name("ADDRESS")
                .help("Where the request would come from"),
        )
        .arg(
            Arg::new("username")
                .long("username")
                .value_name("USER")
                .help("The digest user it would name, with the right password"),
        )
        .arg(switch("tls", "It would come over TLS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        cli().debug_assert();
    }
}
