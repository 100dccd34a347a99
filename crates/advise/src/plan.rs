//! From edges and a review to what the policies must let through, and to the policies.

use ringfence_inventory::Inventory;
use ringfence_model::review::Review;
use ringfence_model::{Diagnostic, Edge};

use crate::dns::DnsServers;
use crate::draft::{Draft, write_drafts};
use crate::judge::{Judge, Row};
use crate::need::Need;
use crate::planner::{Collected, Planner, whole_namespaces};
use crate::report;
use crate::scope::Scope;
use crate::selection::Selection;

/// What is to be decided: the same four things give the same plan.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The cluster.
    pub inventory: &'a Inventory,
    /// What was observed in it, with aliases applied ([`crate::alias::apply`]).
    pub edges: &'a [Edge],
    /// What people decided.
    pub review: &'a Review,
    /// For which workloads.
    pub scope: &'a Scope,
}

/// The policies that follow from a [`Case`], and everything they were made from.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The ingress and egress tables.
    pub rows: Vec<Row<'a>>,
    /// What the policies must let through.
    pub needs: Vec<Need>,
    /// The policies, sorted by namespace and name.
    pub drafts: Vec<Draft>,
    /// What people should know.
    pub diagnostics: Vec<Diagnostic>,
}

/// Makes the policies.
pub fn plan(case: Case<'_>) -> Plan<'_> {
    let judge = Judge {
        inventory: case.inventory,
        review: case.review,
        scope: case.scope,
        selection: Selection::new(case.inventory, &case.review.labels),
        dns: DnsServers::of(case.inventory),
        whole_namespaces: whole_namespaces(case),
    };
    let rows = judge.rows(case.edges);
    let Collected { mut needs, managed, mut diagnostics } =
        Planner::new(&judge, case).collect(&rows);
    diagnostics.extend(report::diagnostics(&judge, case.edges, &rows));
    needs.sort_by(|a, b| {
        (&a.subject, a.direction, &a.party, &a.label).cmp(&(
            &b.subject,
            b.direction,
            &b.party,
            &b.label,
        ))
    });
    let drafts = write_drafts(&judge, &managed, &needs);
    diagnostics.sort();
    diagnostics.dedup();
    Plan { rows, needs, drafts, diagnostics }
}
