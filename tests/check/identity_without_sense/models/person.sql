select 'web' as source, '1' as record_id, 'email' as id_type, 'a@example.com' as id_value, now() as observed_at, 3 as weight
