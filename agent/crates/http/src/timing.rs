//! How long requests take, by method and path.

use std::sync::Arc;

use axum::http::Method;
use lictor_sys::clock::{Clock, Moment, SystemClock};
use lictor_telemetry::metrics::inventory::API_HTTP;
use lictor_telemetry::metrics::{Registry, Series};

/// A series for each route and method, made beforehand so that requests only count.
pub(crate) struct Timings {
    clock: SystemClock,
    routes: Vec<Vec<Arc<Series>>>,
}

impl Timings {
    /// For routes with these paths and methods, in this order.
    pub(crate) fn new<'r>(
        registry: &Registry,
        routes: impl Iterator<Item = (&'r str, &'r [&'r str])>,
    ) -> Self {
        let series = |path: &str, method: &str| {
            let labels = vec![("method", method.to_owned()), ("path", label(path))];
            registry.series(&API_HTTP, labels)
        };
        let routes = routes
            .map(|(path, methods)| methods.iter().map(|method| series(path, method)).collect())
            .collect();
        Self { clock: SystemClock::default(), routes }
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Records a request to the route at a position of the table, that came at `start`.
    pub(crate) fn record(&self, route: usize, methods: &[&str], method: &Method, start: Moment) {
        let position = methods.iter().position(|known| *known == method.as_str());
        let series = position.and_then(|position| self.routes.get(route)?.get(position));
        if let Some(series) = series {
            series.took(self.clock.now().since(start));
        }
    }
}

/// The path as the reference writes it in the label: `/v1/kv/` is `v1.kv._`.
fn label(path: &str) -> String {
    let parts = path.trim_start_matches('/').split('/');
    parts.map(|part| if part.is_empty() { "_" } else { part }).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_a_placeholder_for_names() {
        assert_eq!(label("/v1/kv/"), "v1.kv._");
        assert_eq!(label("/v1/catalog/nodes"), "v1.catalog.nodes");
    }
}
