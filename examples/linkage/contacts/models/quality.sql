-- Pairs of records that were made one person, judged by the labels: precision and recall over all true pairs, also
-- those that no blocking rule brings.
with judged as (
    select r.canonical_id, t.person_id as truth
    from {{ ref('person__records') }} as r
    join {{ source('crm', 'truth') }} as t on t.contact_id = r.record_id
),
right_ones as (
    select sum(n * (n - 1) / 2) as pairs from (select count(*) as n from judged group by canonical_id, truth) as c
),
found_ones as (
    select sum(n * (n - 1) / 2) as pairs from (select count(*) as n from judged group by canonical_id) as c
),
true_ones as (
    select sum(n * (n - 1) / 2) as pairs from (select count(*) as n from {{ source('crm', 'truth') }} group by person_id) as c
)
select
    cast(r.pairs as double) / f.pairs as precision,
    cast(r.pairs as double) / t.pairs as recall,
    2.0 * r.pairs / (f.pairs + t.pairs) as f1
from right_ones as r
cross join found_ones as f
cross join true_ones as t
