-- Pairs of records, judged: precision and recall over all true pairs, also those that no blocking rule brings.
with judged as (
    select r.canonical_id, t.cluster as truth
    from {{ ref('person__records') }} as r
    join {{ ref('fake_1000') }} as t on cast(t.unique_id as varchar) = r.record_id
),
right_ones as (
    select sum(n * (n - 1) / 2) as pairs, sum(n) as records
    from (select count(*) as n from judged group by canonical_id, truth) as c
),
found_ones as (
    select sum(n * (n - 1) / 2) as pairs
    from (select count(*) as n from judged group by canonical_id) as c
),
true_ones as (
    select sum(n * (n - 1) / 2) as pairs
    from (select count(*) as n from judged group by truth) as c
)
select
    r.records,
    cast(r.pairs as double) / f.pairs as precision,
    cast(r.pairs as double) / t.pairs as recall,
    2.0 * r.pairs / (f.pairs + t.pairs) as f1
from right_ones as r
cross join found_ones as f
cross join true_ones as t
