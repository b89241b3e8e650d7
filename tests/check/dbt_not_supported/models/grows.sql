{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='at') }}
select id from {{ ref('sound') }}
{% if is_incremental() %} where id > (select max(id) from {{ this }}) {% endif %}
