with found as (
    select distinct
        arrow_typeof(whole) as whole, arrow_typeof(number) as number, arrow_typeof(mixed) as mixed,
        arrow_typeof(flag) as flag, arrow_typeof(day) as day, arrow_typeof(moment) as moment,
        arrow_typeof(code) as code, arrow_typeof(answer) as answer, arrow_typeof(large) as large,
        nothing is null as nothing
    from {{ ref('guessed') }}
),
expected as (
    select
        'Int64' as whole, 'Float64' as number, 'Float64' as mixed, 'Boolean' as flag, 'Date32' as day,
        'Timestamp(µs)' as moment, 'Int64' as code, 'Utf8' as answer, 'Int64' as large, true as nothing
)
(select * from expected except select * from found)
union all
(select * from found except select * from expected)
