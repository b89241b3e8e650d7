with expected as (
    select 1 as id, 'Ann' as name, '01234' as zip, date '1990-02-28' as born, 10.50 as score, true as active,
        timestamp '2024-01-01 10:00:00' as seen, 'quoted, comma' as note
    union all
    select 2, 'Bob', '99999', date '1985-12-31', 0.00, false, timestamp '2024-02-29 23:59:59.5', 'line' || chr(10) || 'break'
    union all
    select 3, 'O''Neil "Q"', '00001', date '2000-01-01', -5.25, true, null, null
    union all
    select 4, null, null, null, null, null, null, null
)
(select * from expected except select * from {{ ref('people') }})
union all
(select * from {{ ref('people') }} except select * from expected)
