-- name: expect_row_values_to_have_recent_data
-- params: model (the tested relation), column_name (an expression over its columns), datepart, interval (how
--         long ago the last one may be), row_condition (SQL; rows of which it is not true are not looked at)
-- invariant: one row if the last time is longer ago, seen from the run's clock, or there is none
{% set since = dbt.dateadd(datepart, '-' ~ interval, 'now()') -%}
select max({{ column_name }}) as last_time
from {{ model }}
where ({{ row_condition or 'true' }})
having max({{ column_name }}) is null or cast(max({{ column_name }}) as timestamp) < cast({{ since }} as timestamp)
