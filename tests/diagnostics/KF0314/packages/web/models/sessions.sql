SELECT 1 AS session_id
