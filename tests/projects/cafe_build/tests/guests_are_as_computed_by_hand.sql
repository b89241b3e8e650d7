-- `expected_guests` was computed from the other seeds by a program that is not SQL.
with found as (
    select guest_id, first_name, last_name, first_visit, last_visit, visits, cast(lifetime_amount * 100 as bigint) as cents
    from {{ ref('guests') }}
),
expected as (
    select guest_id, first_name, last_name, first_visit, last_visit, visits, lifetime_cents as cents
    from {{ ref('expected_guests') }}
)
(select 'unexpected' as problem, * from (select * from found except all select * from expected) as f)
union all
(select 'missing' as problem, * from (select * from expected except all select * from found) as e)
