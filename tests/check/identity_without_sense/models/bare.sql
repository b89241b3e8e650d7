{{ config(materialized='linkage') }}
select 'crm' as source, '1' as record_id
