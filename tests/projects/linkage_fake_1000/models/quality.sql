-- Pairs of records, judged: precision and recall over all true pairs, also those that no blocking rule brings.
with judged as (
    select r.canonical_id, t.cluster
    from {{ ref('person__records') }} as r
    join {{ ref('fake_1000') }} as t on cast(t.unique_id as varchar) = r.record_id
),
counts as (
    select
        (select sum(n * (n - 1) / 2) from (select count(*) as n from judged group by canonical_id, cluster)) as both,
        (select sum(n * (n - 1) / 2) from (select count(*) as n from judged group by canonical_id)) as found,
        (select sum(n * (n - 1) / 2) from (select count(*) as n from judged group by cluster)) as true_pairs,
        (select count(*) from judged) as records
)
select
    records,
    cast(both as double) / found as precision,
    cast(both as double) / true_pairs as recall,
    2.0 * both / (found + true_pairs) as f1
from counts
