with expected as (
    select
        'hello' as greeting, 'otherwise' as otherwise, 7 as limit_days, 'fallback' as env,
        'main.jinja' as this_name, 'jinja' as model_name, 'dbt_features' as project, 3 as state, 42 as block,
        'ANN' as name_1, 'BOB' as name_2, 'a-b-c' as letters, 3 as called, 1 as executed, '{"a": 1}' as json,
        '007' as formatted, 125 as cents, 12 as tens
)
(select * from expected except select * from {{ ref('jinja') }})
union all
(select * from {{ ref('jinja') }} except select * from expected)
