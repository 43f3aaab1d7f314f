//! The HTTP side of the command line: one request, one answer, or what went wrong in words.
//!
//! Must never print the token, and never try a write again by itself: only the person knows whether that is right.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use reqwest::{StatusCode, Url, header};
use serde_json::{Value, json};

use super::commands::DEFAULT_URL;
use super::request::Request;

/// Longest time for an answer: more than the API itself takes for one.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for a file.
const COPY_TIMEOUT: Duration = Duration::from_secs(86_400);
/// Objects of a page when all of them are wanted.
const PAGE: u64 = 100;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It was asked wrongly.
    #[error("{0}")]
    Usage(String),
    /// The API said no.
    #[error("{0}")]
    Refused(String),
    /// There is nobody.
    #[error("{url} cannot be reached: {why}")]
    Unreachable { url: String, why: String },
}

impl Failure {
    /// The process's exit status.
    pub(super) fn status(&self) -> u8 {
        match self {
            Failure::Refused(_) => 1,
            Failure::Unreachable { .. } => 2,
            Failure::Usage(_) => super::USAGE,
        }
    }
}

/// The daemon's API with a token for it.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Client {
    /// From the arguments and the environment.
    pub(super) fn new(matches: &ArgMatches) -> Result<Client, Failure> {
        let typed = |id: &str| matches.get_one::<String>(id).cloned();
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let url =
            typed("url").or_else(|| variable("TRUNKLINE_URL")).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let base = Url::parse(&url).map_err(|error| Failure::Usage(format!("{url:?} is no URL: {error}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(Failure::Usage(format!("{url:?} is no http or https URL")));
        }
        let token = match typed("token-file").map(PathBuf::from) {
            None => variable("TRUNKLINE_TOKEN"),
            Some(file) => {
                let read = std::fs::read_to_string(&file);
                Some(read.map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?)
            }
        };
        // An error says that one is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(TIMEOUT).user_agent("trunkctl").build();
        let http = http.map_err(|error| Failure::Usage(format!("starting: {error}")))?;
        Ok(Client { http, base, token: token.map(|token| token.trim().to_owned()) })
    }

    /// Asks, and answers the body; every page of it if all are wanted.
    pub(super) async fn send(&self, request: &Request) -> Result<Value, Failure> {
        if !request.all_pages {
            return self.once(request, &[], None).await;
        }
        let mut objects: Vec<Value> = Vec::new();
        loop {
            let paging = [("limit", PAGE.to_string()), ("offset", objects.len().to_string())];
            let mut page = self.once(request, &paging, None).await?;
            let found = page["objects"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let (total, last) = (page["meta"]["total"].as_u64().unwrap_or(0), found.is_empty());
            objects.extend(found);
            if last || objects.len() as u64 >= total {
                let meta = json!({ "limit": objects.len(), "offset": 0, "total": total });
                return Ok(json!({ "meta": meta, "objects": objects }));
            }
        }
    }

    /// Sends a text of this type.
    pub(super) async fn send_text(
        &self,
        request: &Request,
        media: &'static str,
        text: String,
    ) -> Result<Value, Failure> {
        self.once(request, &[], Some((media, text))).await
    }

    async fn once(
        &self,
        request: &Request,
        more: &[(&str, String)],
        text: Option<(&'static str, String)>,
    ) -> Result<Value, Failure> {
        let mut builder = self.builder(request, more);
        if let Some(version) = &request.if_match {
            builder = builder.header(header::IF_MATCH, version);
        }
        builder = match (text, &request.body) {
            (Some((media, text)), _) => builder.header(header::CONTENT_TYPE, media).body(text),
            (None, Some(body)) => {
                builder.header(header::CONTENT_TYPE, "application/json").body(body.to_string())
            }
            (None, None) => builder,
        };
        let response = builder.send().await.map_err(|error| self.unreachable(&error))?;
        let (status, etag) = (response.status(), response.headers().get(header::ETAG).cloned());
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        let mut body: Value = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        if !status.is_success() {
            return Err(refused(status, &body, self.token.is_some()));
        }
        if let (Some(etag), Some(object)) =
            (etag.as_ref().and_then(|etag| etag.to_str().ok()), body.as_object_mut())
        {
            object.insert("etag".to_owned(), etag.into());
        }
        Ok(body)
    }

    /// Copies an answer that is CSV to `to`, as it comes.
    pub(super) async fn copy(&self, request: &Request, to: &mut impl Write) -> Result<(), Failure> {
        let builder = self.builder(request, &[]).header(header::ACCEPT, "text/csv");
        // However long it is: what counts is that it goes on.
        let sent = builder.timeout(COPY_TIMEOUT).send().await;
        let mut response = sent.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            let (status, text) = (response.status(), response.text().await.unwrap_or_default());
            return Err(refused(
                status,
                &serde_json::from_str(&text).unwrap_or_default(),
                self.token.is_some(),
            ));
        }
        while let Some(bytes) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            to.write_all(&bytes).map_err(|error| Failure::Usage(format!("writing: {error}")))?;
        }
        to.flush().map_err(|error| Failure::Usage(format!("writing: {error}")))
    }

    fn builder(&self, request: &Request, more: &[(&str, String)]) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        let path = format!("{}{}", self.base.path().trim_end_matches('/'), request.path);
        url.set_path(&path);
        let query = request.query.iter().map(|(name, value)| (*name, value));
        let query = query.chain(more.iter().map(|(name, value)| (*name, value)));
        let query: Vec<_> = query.collect();
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let builder = self.http.request(request.method.clone(), url);
        match &self.token {
            Some(token) => builder.bearer_auth(token),
            None => builder,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut why = String::new();
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = cause {
            // Of the whole chain the last one is the reason; the others name the URL again and again.
            why = error.to_string();
            cause = error.source();
        }
        Failure::Unreachable { url: self.base.to_string(), why }
    }
}

/// A problem document (RFC 9457) in words: what is wrong, then each fault on a line of its own.
fn refused(status: StatusCode, body: &Value, with_token: bool) -> Failure {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let mut said = match (text("detail"), text("code")) {
        ("", _) => format!("the answer is {status}"),
        (detail, "") => format!("{detail} ({status})"),
        (detail, code) => format!("{detail} ({} {code})", status.as_u16()),
    };
    for fault in body["errors"].as_array().into_iter().flatten() {
        let part = |name: &str| fault[name].as_str().unwrap_or_default();
        let _ = write!(said, "\n  {}: {} ({})", part("pointer"), part("detail"), part("code"));
    }
    if status == StatusCode::UNAUTHORIZED && !with_token {
        said.push_str("\n  set TRUNKLINE_TOKEN, or name a --token-file: the first is STATE_DIR/admin-token");
    }
    Failure::Refused(said)
}
