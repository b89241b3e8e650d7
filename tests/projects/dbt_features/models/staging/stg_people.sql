{{ config(tags=['people'], meta={'owner': 'us'}) }}
select id, name, zip, born, score, active, seen from {{ ref('people') }}
