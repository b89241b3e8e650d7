-- Pairs, each judged by itself: precision and recall over all true pairs.
with judged as (
    select l.truth = r.truth as right_one
    from {{ ref('matches') }} as m
    join {{ ref('records') }} as l on l.record_id = m.record_id_l
    join {{ ref('records') }} as r on r.record_id = m.record_id_r
    where m.match_weight >= 0
),
true_ones as (
    select sum(n * (n - 1) / 2) as pairs from (select count(*) as n from {{ ref('records') }} group by truth) as c
)
select
    avg(case when j.right_one then 1.0 else 0.0 end) as precision,
    sum(case when j.right_one then 1.0 else 0.0 end) / max(t.pairs) as recall,
    2.0 * sum(case when j.right_one then 1.0 else 0.0 end) / (count(*) + max(t.pairs)) as f1
from judged as j
cross join true_ones as t
