{{ config(severity='warn', tags=['people']) }}
select * from {{ ref('stg_people') }} where id = 1
