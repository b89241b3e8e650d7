select 'crm' as source, '1' as record_id, 'ann' as first_name, date '1990-01-01' as born, 3 as visits
