{{ config(materialized='view') }}
select {{ dbt.current_timestamp() }} as now, {{ dbt.current_timestamp_backcompat() }} as same
