{{ dbt.generate_series(5) }}
{{ dbt.except() }}
select 2
{{ dbt.intersect() }}
select id from {{ ref('people') }}
