//! A host for tests, with scripted answers.
//!
//! ```
//! use lictor_plugin_sdk::testing::MockHost;
//! use lictor_plugin_sdk::{http, Status, Target};
//! # use lictor_plugin_sdk::{Ctx, Fault, Verdict};
//! # fn check(ctx: &Ctx, url: String) -> Result<Verdict, Fault> {
//! #     let answer = ctx.http(&http::Request::get(url))?;
//! #     Ok(Verdict::passing(answer.reason))
//! # }
//!
//! let host = MockHost::new().answer_http(Ok(http::Response::new(200, "OK", "hello")));
//! let verdict = host.run(|ctx| check(ctx, "http://web:80/".into())).unwrap();
//! assert_eq!(verdict.status, Status::Passing);
//! assert_eq!(host.http_requests()[0].url, "http://web:80/");
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::ctx::{Ctx, Host, Level};
use crate::outcome::{Fault, Verdict, settle};
use crate::plugin::CheckPlugin;
use crate::probe::ProbeError;
use crate::target::Target;
use crate::{dns, exec, http, http2, tcp, tls, udp};

/// The questions of one interface and the answers still to give.
#[derive(Debug)]
struct Script<Q, A> {
    asked: RefCell<Vec<Q>>,
    answers: RefCell<VecDeque<Result<A, ProbeError>>>,
}

impl<Q, A> Default for Script<Q, A> {
    fn default() -> Self {
        Self { asked: RefCell::default(), answers: RefCell::default() }
    }
}

impl<Q: Clone, A> Script<Q, A> {
    fn ask(&self, question: &Q) -> Result<A, ProbeError> {
        self.asked.borrow_mut().push(question.clone());
        self.answers
            .borrow_mut()
            .pop_front()
            .unwrap_or_else(|| Err(ProbeError::Denied("the test scripted no such answer".to_owned())))
    }
}

/// A host that answers from a script, in order, and denies what is not in it.
#[derive(Debug, Default)]
pub struct MockHost {
    target: Target,
    http: Script<http::Request, http::Response>,
    http2: Script<http2::Request, http2::Response>,
    tcp: Script<tcp::Request, tcp::Response>,
    udp: Script<udp::Request, udp::Response>,
    tls: Script<tls::Request, tls::Response>,
    dns: Script<dns::Request, dns::Response>,
    exec: Script<exec::Request, exec::Response>,
    log: RefCell<Vec<(Level, String)>>,
}

macro_rules! scripted {
    ($($probe:ident, $answer:ident, $requests:ident;)+) => {$(
        /// Scripts the next answer of this interface.
        #[must_use]
        pub fn $answer(self, answer: Result<$probe::Response, ProbeError>) -> Self {
            self.$probe.answers.borrow_mut().push_back(answer);
            self
        }

        /// What was asked of this interface so far.
        #[must_use]
        pub fn $requests(&self) -> Vec<$probe::Request> {
            self.$probe.asked.borrow().clone()
        }
    )+};
}

impl MockHost {
    /// A host without answers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a target to look at.
    #[must_use]
    pub fn with_target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    scripted! {
        http, answer_http, http_requests;
        http2, answer_http2, http2_requests;
        tcp, answer_tcp, tcp_requests;
        udp, answer_udp, udp_requests;
        tls, answer_tls, tls_requests;
        dns, answer_dns, dns_requests;
        exec, answer_exec, exec_requests;
    }

    /// The lines logged so far.
    #[must_use]
    pub fn log_lines(&self) -> Vec<(Level, String)> {
        self.log.borrow().clone()
    }

    /// Runs a check function as the agent would: the target's faults become verdicts.
    ///
    /// # Errors
    /// The check's own faults.
    pub fn run(&self, check: impl FnOnce(&Ctx<'_>) -> Result<Verdict, Fault>) -> Result<Verdict, Fault> {
        settle(check(&Ctx::new(self, &self.target)))
    }

    /// Runs a whole plugin with a configuration in JSON.
    ///
    /// # Errors
    /// The check's own faults, and a configuration that does not fit.
    pub fn run_plugin<P: CheckPlugin>(&self, config: &str) -> Result<Verdict, Fault> {
        self.run(|ctx| P::check(ctx, config))
    }
}

impl Host for MockHost {
    fn http(&self, request: &http::Request) -> Result<http::Response, ProbeError> {
        self.http.ask(request)
    }

    fn http2(&self, request: &http2::Request) -> Result<http2::Response, ProbeError> {
        self.http2.ask(request)
    }

    fn tcp(&self, request: &tcp::Request) -> Result<tcp::Response, ProbeError> {
        self.tcp.ask(request)
    }

    fn udp(&self, request: &udp::Request) -> Result<udp::Response, ProbeError> {
        self.udp.ask(request)
    }

    fn tls(&self, request: &tls::Request) -> Result<tls::Response, ProbeError> {
        self.tls.ask(request)
    }

    fn dns(&self, request: &dns::Request) -> Result<dns::Response, ProbeError> {
        self.dns.ask(request)
    }

    fn exec(&self, request: &exec::Request) -> Result<exec::Response, ProbeError> {
        self.exec.ask(request)
    }

    fn log(&self, level: Level, message: &str) {
        self.log.borrow_mut().push((level, message.to_owned()));
    }
}
