with found as (
    select
        arrow_typeof(whole) as whole, arrow_typeof(number) as number, arrow_typeof(mixed) as mixed,
        arrow_typeof(flag) as flag, arrow_typeof(day) as day, arrow_typeof(moment) as moment,
        arrow_typeof(code) as code, arrow_typeof(answer) as answer, arrow_typeof(large) as large,
        nothing is null as nothing
    from {{ ref('guessed') }}
)
select * from found
